"""How words sound: phonemes of text, and how far apart two pronunciations are.

Phonemes are one character each, in the notation of hibari's text-to-phonemes (misaki's: IPA, with A I O W Y for the
diphthongs of "day", "eye", "go", "now", "boy" and ʤ, ʧ for affricates), without stress.
"""

import re
import threading
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NOTATION = str.maketrans({"ˈ": "", "ˌ": "", "ː": "", " ": "", "ɾ": "T", "ʔ": "t"})
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,]\d+)*")
_LOAD_LOCK = threading.Lock()

# Place runs from the lips (0) to the glottis (1), manner from full closure (0) to open (1), voice is 0 or 1: the rows,
# columns and pairs of the IPA consonant chart (Handbook of the International Phonetic Association, 1999), put on scales
# as Kondrak 2000, "A new algorithm for the alignment of phonetic sequences", does.
_CONSONANTS = {
    "p": (0.0, 0.0, 0), "b": (0.0, 0.0, 1), "m": (0.0, 0.35, 1), "f": (0.1, 0.6, 0), "v": (0.1, 0.6, 1),
    "θ": (0.25, 0.6, 0), "ð": (0.25, 0.6, 1), "t": (0.35, 0.0, 0), "d": (0.35, 0.0, 1), "T": (0.35, 0.1, 1),
    "n": (0.35, 0.35, 1), "s": (0.35, 0.6, 0), "z": (0.35, 0.6, 1), "l": (0.35, 0.85, 1), "ɹ": (0.4, 0.85, 1),
    "ʃ": (0.45, 0.6, 0), "ʒ": (0.45, 0.6, 1), "ʧ": (0.45, 0.3, 0), "ʤ": (0.45, 0.3, 1), "j": (0.6, 0.9, 1),
    "k": (0.75, 0.0, 0), "ɡ": (0.75, 0.0, 1), "ŋ": (0.75, 0.35, 1), "w": (0.4, 0.95, 1), "h": (1.0, 0.7, 0),
}  # fmt: skip

# Height (0 close, 1 open), backness (0 front, 1 back), rounding, and glide of a diphthong (1 towards i, -1 towards u).
_VOWELS = {
    "i": (0.0, 0.0, 0, 0.0), "ɪ": (0.2, 0.2, 0, 0.0), "ᵻ": (0.2, 0.4, 0, 0.0), "ɛ": (0.6, 0.1, 0, 0.0),
    "æ": (0.8, 0.1, 0, 0.0), "a": (1.0, 0.3, 0, 0.0), "ə": (0.5, 0.5, 0, 0.0), "ᵊ": (0.5, 0.5, 0, 0.0),
    "ɐ": (0.7, 0.5, 0, 0.0), "ɜ": (0.55, 0.5, 0, 0.0), "ʌ": (0.7, 0.6, 0, 0.0), "ɑ": (1.0, 0.9, 0, 0.0),
    "ɒ": (1.0, 0.9, 1, 0.0), "ɔ": (0.7, 0.9, 1, 0.0), "ʊ": (0.2, 0.8, 1, 0.0), "u": (0.0, 0.9, 1, 0.0),
    "A": (0.4, 0.1, 0, 0.5), "I": (0.9, 0.5, 0, 1.0), "Y": (0.6, 0.9, 1, 1.0), "O": (0.4, 0.9, 1, -0.5),
    "Q": (0.5, 0.6, 0, -0.5), "W": (0.9, 0.5, 0, -1.0),
}  # fmt: skip

PHONEMES = "".join([*_CONSONANTS, *_VOWELS])
"""Every phoneme that a pronunciation may hold; the index of one is its code in `encoded`."""

_WEAK = frozenset("əᵊɐᵻɪʌ")
_VOWEL_TO_CONSONANT = {("i", "j"): 0.4, ("ɪ", "j"): 0.5, ("u", "w"): 0.4, ("ʊ", "w"): 0.5, ("ɜ", "ɹ"): 0.4}


@cache
def _lexicon() -> tuple[Any, Any, Any]:
    """hibari's dictionary, the network that reads unknown words, and its token type; without the tagger, half the load.

    The tagger tells apart words like the verb and the noun "record", which matters to a voice, not to a comparison.
    """
    from hibari.g2p import ASSETS, Lexicon, _load_json
    from hibari.g2p.oov import OOV
    from hibari.g2p.token import Tok

    lexicon = Lexicon(_load_json("lexicon_us_gold.json.gz"), _load_json("lexicon_us_silver.json.gz"), False)
    return lexicon, OOV(f"{ASSETS}/oov.onnx"), Tok


@lru_cache(maxsize=32_768)
def _word_phonemes(word: str) -> str:
    from hibari.g2p import Context

    with _LOAD_LOCK:
        lexicon, unknown, token_type = _lexicon()
    if word.casefold() == "a":
        return "ɐ"
    found, _ = lexicon(token_type(word, "DT" if word.casefold() in ("the", "an") else "NN"), Context())
    spoken = found if found is not None else unknown(word)
    return "".join(p for p in (spoken or "").translate(_NOTATION) if p in _CODES)


@lru_cache(maxsize=8_192)
def word_phonemes(text: str) -> tuple[str, ...]:
    """The phonemes of each word of `text`; punctuation vanishes. Unknown words are read by a small network."""
    return tuple(_word_phonemes(word) for word in _WORD.findall(text))


def phonemes(text: str) -> str:
    """The phonemes of `text`, words separated by spaces."""
    return " ".join(word_phonemes(text))


def in_dictionary(word: str) -> bool:
    """Whether the dictionary has a word, so that how it is said need not be guessed."""
    from hibari.g2p import Context

    with _LOAD_LOCK:
        lexicon, _, token_type = _lexicon()
    return lexicon(token_type(word, "NN"), Context())[0] is not None


def _substitution(one: str, other: str) -> float:
    if one == other:
        return 0.0
    if one in _CONSONANTS and other in _CONSONANTS:
        (place, manner, voice), (place_, manner_, voice_) = _CONSONANTS[one], _CONSONANTS[other]
        return min(1.0, 0.15 + 0.7 * abs(place - place_) + 0.7 * abs(manner - manner_) + 0.1 * abs(voice - voice_))
    if one in _VOWELS and other in _VOWELS:
        if one in _WEAK and other in _WEAK:
            return 0.1
        (height, back, rounded, glide), (height_, back_, rounded_, glide_) = _VOWELS[one], _VOWELS[other]
        far = 0.4 * abs(height - height_) + 0.3 * abs(back - back_) + 0.1 * abs(rounded - rounded_)
        return min(0.7, 0.1 + far + 0.15 * abs(glide - glide_))
    return _VOWEL_TO_CONSONANT.get((one, other), _VOWEL_TO_CONSONANT.get((other, one), 1.0))


def _omission(phoneme: str) -> float:
    if phoneme in _WEAK:
        return 0.35
    if phoneme in _VOWELS:
        return 0.7
    return 0.5 if phoneme in "hjwɹlTtd" else 0.8


_CODES = {phoneme: code for code, phoneme in enumerate(PHONEMES)}
SUBSTITUTION = np.array([[_substitution(a, b) for b in PHONEMES] for a in PHONEMES], np.float32)
"""Cost of hearing one phoneme as another, (n_phonemes, n_phonemes), 0 to 1."""
OMISSION = np.array([_omission(p) for p in PHONEMES], np.float32)
"""Cost of a phoneme that is missing or added, (n_phonemes,)."""
_SUBSTITUTION: list[list[float]] = SUBSTITUTION.tolist()
_OMISSION: list[float] = OMISSION.tolist()


def encoded(pronunciation: str) -> NDArray[np.int64]:
    """Codes of a pronunciation's phonemes, spaces left out, (n_phonemes,)."""
    return np.array([_CODES[p] for p in pronunciation if p in _CODES], np.int64)


def weight(pronunciation: str) -> float:
    """The cost of leaving out a whole pronunciation."""
    return float(OMISSION[encoded(pronunciation)].sum())


@lru_cache(maxsize=65_536)
def cost(a: str, b: str) -> float:
    """The least cost of turning one pronunciation into the other; word borders are ignored."""
    one, other = encoded(a).tolist(), encoded(b).tolist()
    row = [0.0]
    for q in other:
        row.append(row[-1] + _OMISSION[q])
    for p in one:
        substitutions, omission = _SUBSTITUTION[p], _OMISSION[p]
        diagonal, row[0] = row[0], row[0] + omission
        for j, q in enumerate(other, 1):
            best = min(diagonal + substitutions[q], row[j] + omission, row[j - 1] + _OMISSION[q])
            diagonal, row[j] = row[j], best
    return row[-1]


def distance(a: str, b: str) -> float:
    """How differently two pronunciations (from `phonemes`) sound: 0 the same, 1 nothing in common.

    The weighted edit distance of the phonemes over the mean weight of both.
    """
    mean = (weight(a) + weight(b)) / 2
    return min(1.0, cost(a, b) / mean) if mean else 0.0


N_REMEMBERED = 64
"""Utterances whose matches are remembered: a few for each of the callers who speak at the same time."""


class PhoneticIndex:
    """Pronunciations to be found inside an utterance, all in one pass.

    Sellers 1980, "The theory and computation of evolutionary distances: pattern recognition": an edit distance whose
    match may begin anywhere, here at any word border.
    """

    def __init__(self, pronunciations: Sequence[str]) -> None:
        """`pronunciations` come from `phonemes`; empty ones never match."""
        codes = [encoded(p) for p in pronunciations]
        longest = max((len(c) for c in codes), default=0)
        self._codes = np.zeros((len(codes), longest), np.int64)  # (n_phrases, n_phonemes)
        for row, code in zip(self._codes, codes, strict=True):
            row[: len(code)] = code
        self._lengths = np.array([len(c) for c in codes], np.int64)
        self._weights = np.array([float(OMISSION[c].sum()) for c in codes], np.float32)
        # While someone speaks the same words are looked up again and again.
        self._found = lru_cache(maxsize=N_REMEMBERED)(self._search)

    def search(self, words: Sequence[str], *, most: float) -> tuple[tuple[int, int, int, float], ...]:
        """Where the pronunciations nearly occur in `words`, the phonemes of each word of an utterance.

        Returns (phrase, first word, end word, distance) of every match whose cost over the phrase's own weight is at
        most `most`; for each phrase and end word only the best start.
        """
        return self._found(tuple(words), most)

    def _search(self, words: tuple[str, ...], most: float) -> tuple[tuple[int, int, int, float], ...]:
        n_phrases, longest = self._codes.shape
        if not n_phrases or not longest:
            return ()
        omitted = np.zeros((n_phrases, longest + 1), np.float32)  # cost of leaving out a phrase's first i phonemes
        np.cumsum(OMISSION[self._codes], axis=1, out=omitted[:, 1:])
        columns = np.arange(longest + 1)
        rows = np.arange(n_phrases)

        def leave_out(costs: NDArray[np.float32], starts: NDArray[np.int64]) -> tuple[Any, Any]:
            """Let phonemes of the phrases be missing: a running minimum once the cost of leaving out is taken off."""
            reduced = costs - omitted
            least = np.minimum.accumulate(reduced, axis=1)
            origin = np.maximum.accumulate(np.where(reduced == least, columns, 0), axis=1)
            return least + omitted, starts[rows[:, None], origin]

        costs = np.full((n_phrases, longest + 1), np.inf, np.float32)
        starts = np.zeros((n_phrases, longest + 1), np.int64)
        found: list[tuple[int, int, int, float]] = []
        for index, word in enumerate(words):
            costs[:, 0] = 0.0
            starts[:, 0] = index
            costs, starts = leave_out(costs, starts)
            for code in encoded(word).tolist():
                heard = costs[:, :-1] + SUBSTITUTION[self._codes, code]
                new, new_starts = costs + OMISSION[code], starts.copy()
                closer = heard < new[:, 1:]
                new[:, 1:][closer] = heard[closer]
                new_starts[:, 1:][closer] = starts[:, :-1][closer]
                costs, starts = leave_out(new, new_starts)
            ends = costs[rows, self._lengths] / np.maximum(self._weights, 1e-6)
            found += [
                (phrase, int(starts[phrase, self._lengths[phrase]]), index + 1, float(ends[phrase]))
                for phrase in np.flatnonzero((ends <= most) & (self._lengths > 0)).tolist()
            ]
        return tuple(found)
