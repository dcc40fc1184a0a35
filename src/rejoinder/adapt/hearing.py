"""How well an assistant hears and understands recordings: the measures of the recognizer's gate."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from rejoinder.adapt.gate import DOMAIN_ERROR
from rejoinder.adapt.workforce import Crew
from rejoinder.assistant import Assistant, AssistantOptions
from rejoinder.conditions import condition
from rejoinder.dialogue import DialogueState
from rejoinder.domain import Domain
from rejoinder.evaluate import words
from rejoinder.evaluate.sets import Recording, TestSet
from rejoinder.events import Samples
from rejoinder.progress import Progress, silent
from rejoinder.text import normalize

CONDITIONS = ("clean", "phone", "noise10")
"""What a domain's recordings are heard through."""

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording as it sounds through a condition of `conditions.condition`."""

    recording: Recording
    through: str
    seed: tuple[int, ...]
    """Of what is random in the condition: the same sound each time."""
    noises: tuple[Samples, ...] = ()
    """What the condition's noise is cut from; none: generated ones."""

    def samples(self) -> Samples:
        """Float32 mono of shape (n_samples,) at `audio.SAMPLE_RATE`."""
        change = condition(self.through, noises=self.noises)
        return change(self.recording.load(), np.random.default_rng(self.seed))


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording as an assistant heard it."""

    recording: Recording
    text: str
    """Normalised."""
    understood: bool | None
    """Whether intent and every slot are right; None where it is not known what was meant."""


Ears: TypeAlias = Crew[Sound, Heard]


@dataclass(frozen=True, slots=True)
class Listening(Generic[Found]):
    """The `Work` of an assistant that hears sounds: `listen`, or something else that it does to one."""

    folder: Path
    """The domain's."""
    options: AssistantOptions
    act: Callable[[Assistant, Sound], Found]
    side_by_side = False

    @contextmanager
    def opened(self) -> Iterator[Callable[[Sound], Found]]:
        """See `Work`."""
        with closing(Assistant.load(self.folder, options=self.options)) as assistant:
            yield partial(self.act, assistant)


def listen(assistant: Assistant, sound: Sound) -> Heard:
    """What an assistant makes of a sound."""
    recording = sound.recording
    transcript = assistant.conversation().transcribe(sound.samples())
    understood = None
    if recording.has_meaning:
        meant = assistant.pipeline.understand(transcript.text, DialogueState())
        understood = (meant.intent, dict(meant.slots)) == (recording.intent, dict(recording.slots or {}))
    return Heard(recording, normalize(transcript.text), understood)


def ears_of(assistant: Assistant) -> Ears:
    """The ears of an assistant that is open here."""
    return partial(map, partial(listen, assistant))


def hear(
    ears: Ears,
    sets: Sequence[tuple[TestSet, str]],
    *,
    noises: Sequence[Samples] = (),
    progress: Progress = silent,
) -> list[tuple[Heard, ...]]:
    """Hear every recording of each set through its condition, the same noise each time; all sets at once."""
    asked = [(n, recording, through) for n, (test, through) in enumerate(sets) for recording in test.recordings]
    sounds = [
        # A copy, without the samples that the recording may keep: they need not travel to other processes.
        Sound(replace(recording), through, (zlib.crc32(recording.path.name.encode()),), tuple(noises))
        for _, recording, through in asked
    ]
    found: list[list[Heard]] = [[] for _ in sets]
    for n_done, ((n, _, through), heard) in enumerate(zip(asked, ears(sounds), strict=True), 1):
        found[n].append(heard)
        progress("measuring", n_done, len(sounds), sets[n][0].name + ("" if through == "clean" else f", {through}"))
    return [tuple(heard) for heard in found]


def domain_measures(
    ears: Ears, test: TestSet, terms: frozenset[str], *, progress: Progress = silent
) -> dict[str, float]:
    """The measures of a domain's test set, heard as it is, through a telephone's band, and at 10 dB of noise.

    "domain_error" is the mean over these conditions of the share of the recordings whose intent or slots are not
    understood, or, where no recording says what is meant, of the word error rate. "domain_wer" and "term_error" (the
    share of the spoken `terms`, see `term_forms`, that were not heard) are there where recordings have words.
    "… clean", "… phone" and "… noise10" are of one condition.
    """
    by_name: dict[str, list[float]] = {}
    measures: dict[str, float] = {}
    by_condition = hear(ears, [(test, through) for through in CONDITIONS], progress=progress)
    for through, heard in zip(CONDITIONS, by_condition, strict=True):
        for name, value in _measured(heard, terms).items():
            by_name.setdefault(name, []).append(value)
            measures[f"{name} {through}"] = value
    return {name: sum(values) / len(values) for name, values in by_name.items()} | measures


def _measured(heard: Sequence[Heard], terms: frozenset[str]) -> dict[str, float]:
    """The measures of one condition."""
    meanings = [one.understood for one in heard if one.understood is not None]
    worded = [one for one in heard if one.recording.text is not None]
    found: dict[str, float] = {}
    if worded:
        found["domain_wer"] = word_error_rate(worded)
        if (error := term_error(worded, terms)) is not None:
            found["term_error"] = error
    return {DOMAIN_ERROR: 1 - sum(meanings) / len(meanings) if meanings else found["domain_wer"], **found}


def general_measures(
    ears: Ears, tests: Sequence[TestSet], terms: frozenset[str], *, progress: Progress = silent
) -> dict[str, float]:
    """The measures of general speech: sets whose words are known and are none of the domain's business.

    "canary_wer" is over the words of all sets together, "canary_wer <set>" over each. "false_alarms" is the share of
    the utterances without any of the domain's terms and slot values (`terms`) in which one of them is heard.
    """
    by_set = hear(ears, [(test, "clean") for test in tests], progress=progress)
    everything = [one for heard in by_set for one in heard]
    measures = {f"canary_wer {test.name}": word_error_rate(heard) for test, heard in zip(tests, by_set, strict=True)}
    measures["canary_wer"] = word_error_rate(everything)
    measures["false_alarms"] = false_alarms(everything, terms)
    return measures


def word_error_rate(heard: Sequence[Heard]) -> float:
    """Word errors over the words that were said, in their normal form."""
    return words.error_rate(pair.word_errors for pair in _pairs(heard))


def term_forms(domain: Domain) -> frozenset[str]:
    """The domain's terms and slot values in all forms, normalised."""
    return frozenset(words.Terms.of(domain).forms)


def false_alarms(heard: Sequence[Heard], terms: frozenset[str]) -> float:
    """Share of the utterances without any of the terms in which one is heard; 0 where every utterance has one."""
    alarms = words.false_alarms(_hits(heard, terms))
    return sum(alarms) / max(len(alarms), 1)


def term_error(heard: Sequence[Heard], terms: frozenset[str]) -> float | None:
    """Share of the `terms` (see `term_forms`) said that are not in what was heard; None where none was said."""
    recall = words.term_recall(_hits(heard, terms))
    return None if recall is None else 1 - recall


def _hits(heard: Sequence[Heard], terms: frozenset[str]) -> list[words.TermHits]:
    """What became of the terms, each form one of its own."""
    found = words.Terms({form: form for form in terms})
    return [found.compare(pair) for pair in _pairs(heard)]


def _pairs(heard: Sequence[Heard]) -> list[words.Pair]:
    return [words.Pair.of(one.recording.text or "", one.text) for one in heard]
