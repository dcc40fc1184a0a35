"""How well an assistant hears and understands recordings: the measures of the recognizer's gate."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.adapt.gate import DOMAIN_ERROR
from rejoinder.assistant import Assistant
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


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording as an assistant heard it."""

    recording: Recording
    text: str
    """Normalised."""
    understood: bool | None
    """Whether intent and every slot are right; None where it is not known what was meant."""


def hear(
    assistant: Assistant,
    test: TestSet,
    *,
    through: str = "clean",
    noises: Sequence[Samples] = (),
    progress: Progress = silent,
) -> tuple[Heard, ...]:
    """Hear every recording of a set through a condition of `conditions.condition`, the same noise each time."""
    change, conversation = condition(through, noises=noises), assistant.conversation()
    heard = []
    for n, recording in enumerate(test.recordings, 1):
        rng = np.random.default_rng(zlib.crc32(recording.path.name.encode()))
        transcript = conversation.transcribe(change(recording.samples, rng))
        understood = None
        if recording.has_meaning:
            meant = assistant.pipeline.understand(transcript.text, DialogueState())
            understood = (meant.intent, dict(meant.slots)) == (recording.intent, dict(recording.slots or {}))
        heard.append(Heard(recording, normalize(transcript.text), understood))
        progress(f"measuring {test.name}", n, len(test.recordings), "" if through == "clean" else through)
    return tuple(heard)


def domain_measures(assistant: Assistant, test: TestSet, *, progress: Progress = silent) -> dict[str, float]:
    """The measures of a domain's test set, heard as it is, through a telephone's band, and at 10 dB of noise.

    "domain_error" is the mean over these conditions of the share of the recordings whose intent or slots are not
    understood, or, where no recording says what is meant, of the word error rate. "domain_wer" and "term_error" (the
    share of spoken terms that were not heard) are there where recordings have words. "… clean", "… phone" and
    "… noise10" are of one condition.
    """
    by_name: dict[str, list[float]] = {}
    measures: dict[str, float] = {}
    for through in CONDITIONS:
        heard = hear(assistant, test, through=through, progress=progress)
        for name, value in _measured(heard, term_forms(assistant.domain)).items():
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
    assistant: Assistant, tests: Sequence[TestSet], *, progress: Progress = silent
) -> dict[str, float]:
    """The measures of general speech: sets whose words are known and are none of the domain's business.

    "canary_wer" is over the words of all sets together, "canary_wer <set>" over each. "false_alarms" is the share of
    the utterances without any of the domain's terms and slot values in which one of them is heard.
    """
    by_set = {test.name: hear(assistant, test, progress=progress) for test in tests}
    everything = [one for heard in by_set.values() for one in heard]
    measures = {f"canary_wer {name}": word_error_rate(heard) for name, heard in by_set.items()}
    measures["canary_wer"] = word_error_rate(everything)
    measures["false_alarms"] = false_alarms(everything, term_forms(assistant.domain))
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
