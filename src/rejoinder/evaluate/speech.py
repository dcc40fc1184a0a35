"""The assistant's voice heard again: what it says goes to the recognizer, and values are parsed back.

The recognizer is the assistant's own (adapted, where it was), without the domain's bias and correction: those would
find a term where a person would not.
"""

import random
import re
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rejoinder import audio
from rejoinder.assistant import Assistant, fixed_replies
from rejoinder.audio import SAMPLE_RATE
from rejoinder.domain import Domain, Slot, SlotKind, Term
from rejoinder.domain.spoken_values import REFERENCE_DAY, spoken_value
from rejoinder.domain.templates import spoken_value as as_written
from rejoinder.evaluate.records import AUDIO, Spoken
from rejoinder.evaluate.words import Pair
from rejoinder.events import Samples
from rejoinder.nlu.values import find_values
from rejoinder.progress import Progress, silent
from rejoinder.session import AFTER_LAST_WORD
from rejoinder.text import normalize
from rejoinder.tts.cache import CachedSynthesizer
from rejoinder.tts.synthesizer import Synthesizer

N_SENTENCES = 60
"""What takes about 15 s on one core; half of it tells voices apart by little."""

CARRIERS = {
    SlotKind.NUMBER: "There are {} of them.",
    SlotKind.MONEY: "That is {} in all.",
    SlotKind.CODE: "Your code is {}.",
    SlotKind.DATE: "It will be there on {}.",
    SlotKind.TIME: "We will see you at {}.",
    SlotKind.PHONE: "Please call {}.",
}
"""What values are said in, by kind: as replies do, and with no word that could be part of the value."""

TERM_CARRIER = "The word is {}, please."
"""Alone, a term would be cut short, and the recognizer expects sentences."""

LARGEST_NUMBER = 2_000.0
"""Numbers go up to this where no slot of the domain says otherwise: up to the years that telephones speak of."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something for the voice to say."""

    kind: str
    text: str
    term: Term | None = None
    """The term that it is about."""
    slot: Slot | None = None
    value: str | None = None
    """The canonical value that it says, of a slot like this."""


def measure(
    assistant: Assistant, *, system: str, folder: Path, progress: Progress = silent, n: int = N_SENTENCES
) -> tuple[Spoken, ...]:
    """Have the voice say at most `n` sentences of the domain, always the same ones, and hear each.

    What was not heard as it was said is kept under `folder`/audio. A term's record has the words of the term alone, and
    errors against the nearest of it and its `sounds_like`: what the recognizer is known to write for it was said well.
    First audio is timed without the memory of earlier replies.
    """
    synthesizer = assistant.pipeline.synthesizer
    voice = synthesizer.voice if isinstance(synthesizer, CachedSynthesizer) else synthesizer
    said = tuple(sentences(assistant.domain, n))
    if said:
        _speak(voice, said[0].text)  # the first run of a network takes longer than all others
    spoken: list[Spoken] = []
    for at, sentence in enumerate(said):
        progress("hearing the voice", at, len(said), sentence.text)
        samples, first_audio_s = _speak(voice, sentence.text)
        samples = audio.resample(samples, voice.sample_rate, SAMPLE_RATE)
        heard = assistant.pipeline.recognizer.transcribe(np.concatenate([samples, AFTER_LAST_WORD])).text
        one = replace(
            compare(sentence, heard, system=system),
            first_audio_s=round(first_audio_s, 4),
            duration_s=round(len(samples) / SAMPLE_RATE, 3),
        )
        if one.n_errors or one.value_heard != one.value:
            one = replace(one, audio=_keep(samples, folder, f"voice-{system}-{at:02}.flac"))
        spoken.append(one)
    progress("hearing the voice", len(said), len(said))
    return tuple(spoken)


def sentences(domain: Domain, n: int = N_SENTENCES) -> Iterator[Sentence]:
    """At most `n` sentences: values of every kind, terms, and what the assistant says in the same words each time."""
    rng = random.Random(zlib.crc32(domain.name.encode()))
    n_values = 2 * n // 5
    replies = [text for text in fixed_replies(domain) if re.search(r"\w", text)]
    terms = rng.sample(domain.terms, min(len(domain.terms), (n - n_values) // 2))
    for text in rng.sample(replies, min(len(replies), n - n_values - len(terms))):
        yield Sentence("reply", text)
    for term in terms:
        yield Sentence("term", TERM_CARRIER.format(term.written), term=term, value=term.written)
    slots = _slots(domain)
    for at in range(n_values):
        slot = slots[at % len(slots)]
        value = spoken_value(slot, rng).value
        text = CARRIERS[slot.kind].format(as_written(value, slot.kind))
        yield Sentence(slot.kind.value, text, slot=slot, value=value)


def _slots(domain: Domain) -> Sequence[Slot]:
    """A slot of each kind: the domain's first one, or one without bounds."""
    own = {slot.kind: slot for slot in reversed(tuple(domain.slots.values()))}
    bounds = {SlotKind.NUMBER: LARGEST_NUMBER}
    return [own.get(kind) or Slot(kind.value, kind, max=bounds.get(kind)) for kind in CARRIERS]


def _speak(voice: Synthesizer, text: str) -> tuple[Samples, float]:
    """All that is said, at the voice's rate, and seconds to the first piece of it."""
    started, first_s = time.perf_counter(), 0.0
    pieces: list[Samples] = []
    for piece in voice.synthesize(text):
        first_s = first_s or time.perf_counter() - started
        pieces.append(piece)
    return np.concatenate([np.zeros(0, np.float32), *pieces]), first_s


def compare(sentence: Sentence, heard: str, *, system: str) -> Spoken:
    """What was heard of a sentence, against what was said; times are left at 0."""
    pair = Pair.of(sentence.text, heard)
    errors = pair.word_errors
    if sentence.term is not None:
        return _compare_term(sentence, sentence.term, pair, system)
    if sentence.slot is None:
        return Spoken(system, sentence.kind, sentence.text, heard, errors.n_said, errors.n_errors)
    found = list(find_values(sentence.slot, pair.heard, today=REFERENCE_DAY, expected=True))
    best = max(found, key=lambda one: (one.value == sentence.value, one.end - one.start), default=None)
    n_errors = errors.n_errors
    if best is not None and best.value == sentence.value:  # right, be it written "883-198" or "883198"
        around = normalize(CARRIERS[sentence.slot.kind].replace("{}", " ")).split()
        n_errors = Pair(tuple(around), pair.heard[: best.start] + pair.heard[best.end :]).word_errors.n_errors
    value_heard = best.value if best is not None else None
    return Spoken(system, sentence.kind, sentence.text, heard, errors.n_said, n_errors, sentence.value, value_heard)


def _compare_term(sentence: Sentence, term: Term, pair: Pair, system: str) -> Spoken:
    """A term against what is in its place: right where it is one of the spellings that it is known by."""
    before = len(normalize(TERM_CARRIER.partition("{}")[0]).split())
    n_words = len(normalize(term.written).split())
    instead = " ".join(pair.heard_for(before, before + n_words))
    n_errors = min(Pair.of(form, instead).word_errors.n_errors for form in (term.written, *term.sounds_like))
    value_heard = term.written if n_errors == 0 else None
    return Spoken(system, sentence.kind, term.written, instead, n_words, n_errors, term.written, value_heard)


def _keep(samples: Samples, folder: Path, name: str) -> str:
    """Write what was said; returns its place, relative to the folder."""
    (folder / AUDIO).mkdir(parents=True, exist_ok=True)
    audio.save(folder / AUDIO / name, samples)
    return f"{AUDIO}/{name}"
