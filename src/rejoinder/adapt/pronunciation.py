"""Pronunciations tuned by round trip: a term is spoken in several ways, the recognizer hears each, the best is kept.

What a recognizer writes down says how people would hear it: a term that comes back as it is spelled, or as one of the
ways in which the domain says that it is misheard, was said well. Nothing is trained: it takes a second or two a term.
What the owner has written (`spoken`) is never changed unless that is asked for, and what no way of saying it settles is
listed for a person.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from rapidfuzz.distance import Levenshtein

from rejoinder import audio
from rejoinder.asr.recognizer import Bias, Recognizer
from rejoinder.domain import Term
from rejoinder.errors import AdaptError
from rejoinder.events import Samples
from rejoinder.phonetics import cost, in_dictionary, phonemes, weight
from rejoinder.progress import Progress, silent
from rejoinder.text import normalize
from rejoinder.tts.lexicon import VOWELS, Lexicon, compile_lexicon, lexicon_key, pronounce, write_tuned

CARRIERS = ("I need {}.", "The word is {}, please.", "Can you tell me about {}?")
"""Sentences to speak a term in; alone it would be cut short, and the recognizer expects sentences."""

N_FINALISTS = 3
"""Candidates that are heard in all carriers; the others are out after the first one."""

N_ALTERNATIVES = 8
"""Readings with another stress or vowel that are tried for a word that no dictionary has."""

CLEARLY = 0.1
"""By how much a pronunciation must be heard better to take the place of the one there is."""

UNSETTLED = 0.25
"""What is heard worse than this at best is left to a person."""

PLAIN_SHARE = 0.6
"""What hearing without the domain counts; the rest is whether the domain's bias then finds the term."""

_OTHER_VOWELS = {
    "ə": "O", "ɪ": "I", "I": "i", "A": "æ", "æ": "A", "ɛ": "i", "i": "I", "ɑ": "O", "O": "ɑ", "ʌ": "u", "u": "ʌ",
    "ɔ": "O", "ʊ": "u", "W": "O", "ɜ": "ɛ",
}  # fmt: skip
"""What else the letters of a vowel may stand for."""


class Speaker(Protocol):
    """A voice that can be told how to say words."""

    sample_rate: int

    def synthesize(self, text: str, *, lexicon: Lexicon | None = None) -> Iterator[Samples]:
        """The audio of `text`, clause by clause; `lexicon` takes the place of its own."""
        ...

    def phonemize(self, text: str, *, lexicon: Lexicon | None = None) -> str:
        """The phonemes that `text` is spoken with."""
        ...


@dataclass(frozen=True, slots=True)
class Trial:
    """One way of saying a term, and what was heard: `score` is 0 for the term itself, 1 for something else."""

    phonemes: str
    origin: str
    """"as written", "the voice's own", "like 'czar alto'", "letter by letter", "stress" or "vowel"."""
    score: float
    heard: str
    """What the recognizer wrote in the place of the first carrier's blank, without the domain's bias."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """A term with how it was said before and the best way that was found (the same where none was clearly better)."""

    term: Term
    before: Trial
    best: Trial

    @property
    def is_changed(self) -> bool:
        """Whether another pronunciation is kept from now on."""
        return self.best.phonemes != self.before.phonemes

    @property
    def is_settled(self) -> bool:
        """Whether the term is heard well enough; if not, a person should write its `spoken`."""
        return self.best.score <= UNSETTLED


class RoundTrip:
    """Speaks and hears; all that scoring a pronunciation needs."""

    def __init__(self, speaker: Speaker, recognizer: Recognizer, bias: Bias | None, lexicon: Lexicon) -> None:
        """`lexicon` has the pronunciations that there are; `bias` is compiled from the domain."""
        self._speaker = speaker
        self._recognizer = recognizer
        self._bias = bias
        self._lexicon = lexicon

    def tune(self, term: Term, *, also_spoken: bool = False) -> Tuned:
        """Find how to say one term. With `also_spoken`, what its owner wrote may give way, too."""
        written = lexicon_key(term.written)
        own = self._speaker.phonemize(term.written, lexicon=Lexicon()).strip()
        current = self._lexicon.pronunciations.get(written)
        said, origin = (current, "as written") if current else (own, "the voice's own")
        may_change = term.spoken is None or also_spoken
        # In all carriers, as what would take its place: one alone may flatter what the others do not understand.
        before = self._hear_again(term, self._hear(term, said, origin))
        if before.score <= CLEARLY or not may_change:  # nothing could be clearly better
            return Tuned(term, before, before)
        others = {said: origin for said, origin in self._candidates(term, own) if said != before.phonemes}
        first = sorted(
            (self._hear(term, said, origin) for said, origin in others.items()), key=lambda trial: trial.score
        )
        finalists = [self._hear_again(term, trial) for trial in first[:N_FINALISTS]]
        best = min(finalists, key=lambda trial: trial.score, default=before)
        return Tuned(term, before, best if before.score - best.score >= CLEARLY else before)

    def _candidates(self, term: Term, own: str) -> Iterator[tuple[str, str]]:
        """(phonemes, origin) of the ways in which a term may be said."""
        yield own, "the voice's own"
        if term.spoken is not None:
            yield pronounce(term.spoken), "as written"
        for text in term.sounds_like:
            yield _one_word(self._speaker.phonemize(text, lexicon=Lexicon())), f"like '{text}'"
        if _is_spelled(term.written):
            letters = " ".join(letter for letter in term.written if letter.isalnum())
            yield self._speaker.phonemize(letters, lexicon=Lexicon()).strip(), "letter by letter"
        elif not all(in_dictionary(word) for word in re.findall(r"[^\W\d_]+", term.written)):
            yield from list(alternatives(own))[:N_ALTERNATIVES]

    def _hear(self, term: Term, said: str, origin: str, *, carriers: Sequence[str] = CARRIERS[:1]) -> Trial:
        lexicon = Lexicon({**self._lexicon.pronunciations, lexicon_key(term.written): said})
        scores, heard = [], []
        for carrier in carriers:
            samples = self._speak(carrier.format(term.written), lexicon)
            plain = self._recognizer.transcribe(samples)
            biased = self._recognizer.transcribe(samples, bias=self._bias)
            found = f" {normalize(term.written)} " in f" {normalize(biased.text)} "
            missed = 1 - biased.confidence if found else 1.0
            heard.append(plain.text)
            scores.append(PLAIN_SHARE * difference(plain.text, carrier, term) + (1 - PLAIN_SHARE) * missed)
        return Trial(said, origin, float(np.mean(scores)), _in_blank(heard[0], carriers[0]))

    def _hear_again(self, term: Term, trial: Trial) -> Trial:
        """What was heard in the first carrier, scored in all of them."""
        others = CARRIERS[1:]
        more = self._hear(term, trial.phonemes, trial.origin, carriers=others)
        return replace(trial, score=(trial.score + len(others) * more.score) / len(CARRIERS))

    def _speak(self, text: str, lexicon: Lexicon) -> Samples:
        samples = np.concatenate(list(self._speaker.synthesize(text, lexicon=lexicon)))
        return audio.resample(samples, self._speaker.sample_rate, audio.SAMPLE_RATE)


def tune(
    terms: Sequence[Term],
    speaker: Speaker,
    recognizer: Recognizer,
    bias: Bias | None,
    *,
    also_spoken: bool = False,
    progress: Progress = silent,
) -> tuple[Tuned, ...]:
    """Tune how all terms are said, in order; see `RoundTrip.tune`. Raises `AdaptError` where there are none."""
    if not terms:
        raise AdaptError("the domain has no terms whose pronunciation could be tuned; write some under 'terms'")
    round_trip = RoundTrip(speaker, recognizer, bias, compile_lexicon(terms))
    tuned = []
    for n_done, term in enumerate(terms):
        progress("tuning pronunciations", n_done, len(terms), term.written)
        tuned.append(round_trip.tune(term, also_spoken=also_spoken))
    progress("tuning pronunciations", len(terms), len(terms))
    return tuple(tuned)


def keep(tuned: Sequence[Tuned], path: Path) -> None:
    """Write the pronunciations that changed, and what a person should look at, for `tts.lexicon.read_tuned`."""
    write_tuned(
        path,
        {one.term.written: one.best.phonemes for one in tuned if one.is_changed},
        {one.term.written: one.best.heard for one in tuned if not one.is_settled},
    )


def difference(heard: str, carrier: str, term: Term) -> float:
    """How far what was heard is from the term in its carrier: 0 the same, 1 nothing in common.

    The mean of how it is spelled and how that sounds, for the closest of the term and what it is misheard as: spelling
    alone takes "ks" for something else than "x", sound alone trusts the rules that read unknown words.
    """
    return min(_difference(heard, carrier, form) for form in (term.written, *term.sounds_like))


def _difference(heard: str, carrier: str, form: str) -> float:
    wanted, text = carrier.format(form), normalize(heard)
    letters = Levenshtein.distance(text.replace(" ", ""), normalize(wanted).replace(" ", ""))
    by_letters = letters / max(1, len(normalize(form).replace(" ", "")))
    by_sound = cost(phonemes(text), phonemes(normalize(wanted))) / max(weight(phonemes(normalize(form))), 1e-6)
    return (min(1.0, by_letters) + min(1.0, by_sound)) / 2


def alternatives(own: str) -> Iterator[tuple[str, str]]:
    """(phonemes, origin): with the stress elsewhere, and with one vowel that its letters may stand for as well."""
    bare = re.sub("[ˈˌ]", "", own)
    for at, phoneme in enumerate(bare):
        moved = f"{bare[:at]}ˈ{bare[at:]}"
        if phoneme in VOWELS and moved != own:
            yield moved, "stress"
    for at, phoneme in enumerate(own):
        if phoneme in _OTHER_VOWELS:
            yield own[:at] + _OTHER_VOWELS[phoneme] + own[at + 1 :], "vowel"


def _is_spelled(written: str) -> bool:
    """Whether a term is said letter by letter: capitals and digits only, or no vowel at all."""
    letters = [letter for letter in written if letter.isalnum()]
    return len(letters) > 1 and (written.upper() == written or not set("aeiouy") & set(written.lower()))


def _one_word(said: str) -> str:
    """The words of a respelling in one, the first stress as the main one."""
    words = said.split()
    return words[0] + "".join(word.replace("ˈ", "ˌ" if "ˈ" in words[0] else "ˈ") for word in words[1:]) if words else ""


def _in_blank(heard: str, carrier: str) -> str:
    """What was heard in the place of the blank; all of it where the carrier itself was misheard."""
    before, _, after = (normalize(part) for part in carrier.partition("{}"))
    text = normalize(heard)
    inside = text.removeprefix(before).removesuffix(after) if text.startswith(before) else text
    return inside.strip()
