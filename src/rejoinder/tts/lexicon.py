"""Pronunciations from the domain: how its terms are spoken, in the voice's phonemes.

A term says it as a respelling ("zuh-REL-toe": syllables parted by hyphens, the stressed one in capitals) or as IPA
between slashes ("/zəˈɹɛltoʊ/"). Both become the alphabet of misaki (hexgrad, Apache-2.0), which the hibari voice was
trained on: one character a phoneme, diphthongs as capitals, the stress mark right before the vowel.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rejoinder.domain import Term
from rejoinder.errors import DomainError

VOWELS = frozenset("AIOWYiuæɑəɛɪʊʌɔɜᵻᵊ")
_CONSONANTS = frozenset("bdfhjklmnpstvwzðŋɡɹTʃʒʤʧθ")
_STRESS = "ˈˌ"

_IPA = {
    "eɪ": "A",
    "ej": "A",
    "aɪ": "I",
    "aj": "I",
    "oʊ": "O",
    "əʊ": "O",
    "ow": "O",
    "aʊ": "W",
    "aw": "W",
    "ɔɪ": "Y",
    "ɔj": "Y",
    "tʃ": "ʧ",
    "dʒ": "ʤ",
    "ɝ": "ɜɹ",
    "ɚ": "əɹ",
    "l̩": "ᵊl",
    "n̩": "ᵊn",
    "m̩": "ᵊm",
    "r": "ɹ",
    "g": "ɡ",
    "ɫ": "l",
    "ɾ": "T",
    "e": "ɛ",
    "a": "ɑ",
    "ɒ": "ɑ",
    "o": "O",
    "ɐ": "ə",
    "ɨ": "ᵻ",
    "ʉ": "u",
    "y": "u",
    "ø": "ɜ",
    "x": "k",
    "ç": "h",
    "ʍ": "w",
    "ʔ": "t",
    "ɲ": "nj",
    "ɑ̃": "ɑn",
    "ɔ̃": "ɔn",
    "ɛ̃": "æn",
    **{phoneme: phoneme for phoneme in [*VOWELS, *_CONSONANTS, *_STRESS, " "]},
    **dict.fromkeys(".ː‿", ""),
}
"""Symbols of IPA, and the voice's own, to its phonemes; the longest match counts."""

_RESPELLED_VOWELS = {
    "igh": "I",
    "eye": "I",
    "air": "ɛɹ",
    "eer": "ɪɹ",
    "ear": "ɪɹ",
    "oor": "ʊɹ",
    "our": "Wəɹ",
    "ahr": "ɑɹ",
    "awr": "ɔɹ",
    "ohr": "ɔɹ",
    "ar": "ɑɹ",
    "or": "ɔɹ",
    "er": "əɹ",
    "ur": "əɹ",
    "ir": "əɹ",
    "ah": "ɑ",
    "aw": "ɔ",
    "au": "ɔ",
    "ay": "A",
    "ai": "A",
    "ei": "A",
    "ey": "A",
    "ee": "i",
    "ea": "i",
    "ie": "I",
    "eh": "ɛ",
    "ih": "ɪ",
    "oh": "O",
    "oa": "O",
    "oe": "O",
    "oy": "Y",
    "oi": "Y",
    "oo": "u",
    "ou": "W",
    "ow": "W",
    "uh": "ə",
    "uu": "ʊ",
    "ue": "u",
    "ew": "u",
    "ye": "I",
    "a": "æ",
    "e": "ɛ",
    "i": "ɪ",
    "o": "ɑ",
    "u": "ə",
    "y": "ɪ",
}
_AT_THE_END = {"a": "ɑ", "e": "i", "i": "i", "o": "O", "u": "u", "y": "I"}
"""A single vowel that closes its syllable ("be", "lo")."""
_BEFORE_SILENT_E = {"a": "A", "e": "i", "i": "I", "o": "O", "u": "u", "y": "I"}
_SILENT_E = re.compile(r"[^aeiouy]*(?:[aeiouy](?P<single>[^aeiouyr])|[aeiouy][^aeiouy]{2})e")
_RESPELLED_CONSONANTS = {
    "tch": "ʧ",
    "ch": "ʧ",
    "sh": "ʃ",
    "zh": "ʒ",
    "th": "θ",
    "dh": "ð",
    "ng": "ŋ",
    "nk": "ŋk",
    "ck": "k",
    "ph": "f",
    "wh": "w",
    "kh": "k",
    "gh": "ɡ",
    "qu": "kw",
    **{letter * 2: letter for letter in "bdflmnpstvz"},
    **{letter: letter for letter in "bdfhklmnpstvwz"},
    "c": "k",
    "g": "ɡ",
    "j": "ʤ",
    "q": "k",
    "r": "ɹ",
    "rr": "ɹ",
    "x": "ks",
    "y": "j",
}
_WHEN_STRESSED = {"ə": "ʌ", "əɹ": "ɜɹ"}

_TO_IPA = {"A": "eɪ", "I": "aɪ", "O": "oʊ", "W": "aʊ", "Y": "ɔɪ", "ʧ": "tʃ", "ʤ": "dʒ", "T": "ɾ", "ᵊ": "ə", "ᵻ": "ɪ"}


TUNED = "pronunciations.yaml"
"""In a domain's folder of built things: pronunciations that were found by round trip."""

_ABOUT_TUNED = """\
# How the voice says terms whose owner has not written it: found by `rejoinder adapt`, which speaks and hears them.
# A line that is deleted is forgotten; `spoken` in domain.yaml counts more. What is unsettled was heard as it stands
# here: listen to it, and write `spoken` for it.
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text; `phonemes` say how it is spoken when the lexicon knows."""

    text: str
    phonemes: str | None = None


@dataclass(frozen=True)
class Lexicon:
    """Written words, in lower case, and their phonemes."""

    pronunciations: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        if not self.pronunciations:
            return None
        longest_first = sorted(self.pronunciations, key=len, reverse=True)
        words = "|".join(re.escape(word).replace(r"\ ", r"[\s-]+") for word in longest_first)
        return re.compile(rf"(?<![\w'’])({words})(['’]s|s['’]?|es)?(?![\w])", re.IGNORECASE)

    def pieces(self, text: str) -> Iterator[Piece]:
        """Cut `text` at the lexicon's words: whole words in any case, plurals and possessives too."""
        start = 0
        for match in self._pattern.finditer(text) if self._pattern else ():
            if match.start() > start:
                yield Piece(text[start : match.start()])
            phonemes = self.pronunciations[re.sub(r"[\s-]+", " ", match[1]).lower()]
            yield Piece(match[0], _with_s(phonemes) if match[2] else phonemes)
            start = match.end()
        if start < len(text):
            yield Piece(text[start:])


def compile_lexicon(terms: Iterable[Term], *, tuned: Mapping[str, str] | None = None) -> Lexicon:
    """The pronunciations of all terms that have one; raises `DomainError` naming the term and the symbol.

    `tuned` (see `read_tuned`) are for the terms whose owner has not written how they are spoken.
    """
    pronunciations = dict(tuned or {})
    for term in terms:
        if term.spoken is None:
            continue
        try:
            phonemes = pronounce(term.spoken)
        except DomainError as error:
            raise DomainError(f"term '{term.written}': {error}") from error
        pronunciations[lexicon_key(term.written)] = phonemes
    return Lexicon(pronunciations)


def lexicon_key(written: str) -> str:
    """A word or phrase as `Lexicon` has it."""
    return re.sub(r"[\s-]+", " ", written.strip()).lower()


def write_tuned(path: Path, pronunciations: Mapping[str, str], unsettled: Mapping[str, str]) -> None:
    """Write pronunciations that were tuned, and for the words that need a person what they were heard as."""
    import yaml

    content = {
        "pronunciations": {written: f"/{said}/" for written, said in pronunciations.items()},
        "unsettled": dict(unsettled),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(_ABOUT_TUNED + yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
    part.replace(path)


def read_tuned(path: Path) -> dict[str, str]:
    """The phonemes by `lexicon_key` that `write_tuned` wrote; none where there is no file.

    Raises `DomainError` naming the word where a person has broken the file.
    """
    import yaml

    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        pronunciations = dict(content.get("pronunciations") or {})
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise DomainError(f"{path} cannot be read ({error}); delete it to do without") from error
    tuned = {}
    for written, spoken in pronunciations.items():
        try:
            tuned[lexicon_key(str(written))] = pronounce(str(spoken))
        except DomainError as error:
            raise DomainError(f"{path}: '{written}': {error}") from error
    return tuned


def pronounce(spoken: str) -> str:
    """A respelling or `/IPA/` to phonemes; raises `DomainError` naming the symbol and the known ones."""
    spoken = spoken.strip()
    if len(spoken) > 2 and spoken[0] == spoken[-1] == "/":
        return _from_ipa(spoken)
    words = [_from_respelling(word, spoken) for word in spoken.replace("·", "-").split()]
    if not "".join(words):
        raise _fail(spoken, "it is empty")
    return " ".join(words)


def to_ipa(phonemes: str) -> str:
    """The voice's phonemes in ordinary IPA, for other synthesizers."""
    return "".join(_TO_IPA.get(phoneme, phoneme) for phoneme in phonemes)


def _from_ipa(spoken: str) -> str:
    ipa = spoken[1:-1].strip().replace("͡", "").replace("͜", "").replace("'", "ˈ").replace(":", "ː")
    phonemes, position = "", 0
    while position < len(ipa):
        for length in (2, 1):
            symbol = ipa[position : position + length]
            if len(symbol) == length and symbol in _IPA:
                phonemes += _IPA[symbol]
                position += length
                break
        else:
            known = " ".join(sorted(symbol for symbol in _IPA if symbol.strip()))
            raise _fail(spoken, f"'{ipa[position]}' is no sound of this voice (known: {known})")
    if not VOWELS.intersection(phonemes):
        raise _fail(spoken, "it has no vowel")
    return " ".join(_stress_before_vowel(word) for word in phonemes.split())


def _stress_before_vowel(word: str) -> str:
    """IPA marks the stressed syllable before its first consonant; the voice wants the mark before its vowel."""
    placed, pending = "", ""
    for phoneme in word:
        if phoneme in _STRESS:
            pending = phoneme
        else:
            placed += (pending if phoneme in VOWELS else "") + phoneme
            pending = "" if phoneme in VOWELS else pending
    if not any(mark in placed for mark in _STRESS):
        placed = re.sub(f"([{''.join(VOWELS)}])", r"ˈ\1", placed, count=1)
    return placed


def _from_respelling(word: str, spoken: str) -> str:
    syllables = [syllable for syllable in word.split("-") if syllable]
    stressed = [len(syllable) > 1 and syllable.isupper() for syllable in syllables]
    if syllables and not any(stressed):
        stressed[next((index for index, syllable in enumerate(syllables) if syllable.isupper()), 0)] = True
    return "".join(
        _syllable(syllable.lower(), is_stressed, spoken)
        for syllable, is_stressed in zip(syllables, stressed, strict=True)
    )


def _syllable(syllable: str, is_stressed: bool, spoken: str) -> str:
    silent_e = _SILENT_E.fullmatch(syllable)
    if silent_e:
        syllable = syllable[:-1].removesuffix("c") + "s" if syllable.endswith("ce") else syllable[:-1]
    phonemes, position, has_vowel = "", 0, False
    while position < len(syllable):
        symbol, phoneme, is_vowel = _next_sound(syllable, position, spoken)
        if is_vowel:
            if silent_e and silent_e["single"]:
                phoneme = _BEFORE_SILENT_E.get(symbol, phoneme)
            elif len(symbol) == 1 and position + 1 == len(syllable):
                phoneme = "ə" if symbol == "a" and not is_stressed else _AT_THE_END[symbol]
            if is_stressed and not has_vowel:
                phoneme = "ˈ" + _WHEN_STRESSED.get(phoneme, phoneme)
            has_vowel = True
        phonemes += phoneme
        position += len(symbol)
    if not has_vowel:
        raise _fail(spoken, f"the syllable '{syllable}' has no vowel (known: {' '.join(_RESPELLED_VOWELS)})")
    return phonemes


def _next_sound(syllable: str, position: int, spoken: str) -> tuple[str, str, bool]:
    """The longest known spelling at `position`, its phonemes, and whether it is a vowel."""
    following = syllable[position + 1 : position + 2]
    for length in (3, 2, 1):
        symbol = syllable[position : position + length]
        is_consonant_y = symbol[:1] == "y" and (position == 0 or symbol == "y") and following in _RESPELLED_VOWELS
        if symbol in _RESPELLED_VOWELS and not is_consonant_y:
            return symbol, _RESPELLED_VOWELS[symbol], True
        if symbol == "c" and following in ("e", "i", "y"):
            return symbol, "s", False
        if symbol in _RESPELLED_CONSONANTS:
            return symbol, _RESPELLED_CONSONANTS[symbol], False
    known = " ".join([*_RESPELLED_VOWELS, *_RESPELLED_CONSONANTS])
    raise _fail(spoken, f"'{syllable[position]}' in a respelling is unknown (known: {known}; or write IPA: /…/)")


def _with_s(phonemes: str) -> str:
    """Plural and possessive: "Xareltos", "Xarelto's"."""
    if phonemes[-1] in "szʃʒʧʤ":
        return phonemes + "ᵻz"
    return phonemes + ("s" if phonemes[-1] in "ptkfθ" else "z")


def _fail(spoken: str, what: str) -> DomainError:
    return DomainError(f"cannot pronounce spoken '{spoken}': {what}")
