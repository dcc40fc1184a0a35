"""Callers who speak while the assistant does: those who only say "uh-huh", and those who want it to stop.

The reply lasts longer than anybody listens to it, so that each of them speaks over it. Times are of the audio: how long
the models take is measured elsewhere.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rejoinder import acoustics
from rejoinder.assistant import Assistant
from rejoinder.audio import SAMPLE_RATE
from rejoinder.errors import ModelError
from rejoinder.evaluate.hearing import listen
from rejoinder.evaluate.scores import Behaviour
from rejoinder.evaluate.turntaking import Call, noise_floor
from rejoinder.events import Event, PartialTranscript, ReplyDone, Samples
from rejoinder.progress import Progress, silent
from rejoinder.session import SessionOptions
from rejoinder.tts.synthesizer import Synthesizer, spoken
from rejoinder.vad import CHUNK_S

BACKCHANNELS = ("uh-huh", "mm-hmm", "okay", "yeah", "right", "I see")
"""What listeners say who do not want the turn."""

INTERRUPTIONS = (
    "Wait, stop.",
    "No, that is not what I want.",
    "Hold on a second please.",
    "Sorry, can I ask something else?",
)
"""What callers say who do."""

PACES = (0.92, 1.0, 1.12)
"""Speeds, pitch going with them, at which each voice says each backchannel: to a detector of speech, other speakers."""

MOST_RECORDINGS = 12
"""So many recordings of the domain's set interrupt, too."""

BEFORE_S = AFTER_S = 48 * CHUNK_S  # 1.5
"""How long the assistant has spoken by then, and how long is waited for it to stop."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Something that was said over a reply."""

    system: str
    said: str
    is_backchannel: bool
    stopped_s: float | None
    """From its first sample to the end of the reply; None where the assistant went on."""
    heard: str = ""
    """What the recognizer made of it by then."""


class LongReply:
    """A voice that speaks for longer than anybody listens, without a sound."""

    sample_rate = SAMPLE_RATE

    def synthesize(self, text: str) -> Iterator[Samples]:  # noqa: ARG002
        """A minute of silence, whatever is to be said."""
        yield np.zeros(60 * SAMPLE_RATE, np.float32)


def overlaps(
    assistant: Assistant, recordings: Mapping[str, Samples], *, system: str, progress: Progress = silent
) -> tuple[Overlap, ...]:
    """Speak over the assistant, with the voices that are installed and with `recordings` of callers by their names."""
    pipeline = replace(assistant.pipeline, synthesizer=LongReply(), llm=None)
    listener = Assistant(pipeline)
    callers = [
        *((name, samples, True) for name, samples in _backchannels()),
        *((name, samples, False) for name, samples in _interruptions()),
        *((name, samples, False) for name, samples in list(recordings.items())[:MOST_RECORDINGS]),
    ]
    found = []
    try:
        for n, (said, samples, is_backchannel) in enumerate(callers, start=1):
            found.append(Overlap(system, said, is_backchannel, *_speak_over(listener, Call.of(samples))))
            progress("speaking over replies", n, len(callers))
    finally:
        listener.close()
    return tuple(found)


def _speak_over(assistant: Assistant, call: Call) -> tuple[float | None, str]:
    """How long after the first sample of a call the reply under it ended, and what was heard."""
    before = noise_floor(call.recorded, BEFORE_S)
    after = call.n_recorded + round(AFTER_S * SAMPLE_RATE)
    options = SessionOptions(lockstep=True, greet=True)  # the greeting is a reply that asks for no answer
    samples = np.concatenate([before, call.samples[:after]])
    events = asyncio.run(listen(assistant, samples, until=_is_interruption, options=options))
    stopped = next(filter(_is_interruption, events), None)
    heard = [event.text for event in events if isinstance(event, PartialTranscript)]
    return round(stopped.at_s - BEFORE_S - call.begin_s, 3) if stopped else None, heard[-1] if heard else ""


def _is_interruption(event: Event) -> bool:
    return isinstance(event, ReplyDone) and event.interrupted


def behaviour(found: Iterable[Overlap]) -> dict[str, Behaviour]:
    """The figures of each system."""
    by_system: dict[str, list[Overlap]] = {}
    for one in found:
        by_system.setdefault(one.system, []).append(one)
    return {system: _behaviour(own) for system, own in by_system.items()}


def _behaviour(found: Sequence[Overlap]) -> Behaviour:
    backchannels = [one for one in found if one.is_backchannel]
    interruptions = [one for one in found if not one.is_backchannel]
    took_ms = [1000 * one.stopped_s for one in interruptions if one.stopped_s is not None]
    p50, p95 = np.percentile(took_ms, [50, 95]) if took_ms else (0.0, 0.0)
    return Behaviour(
        stop_p50_ms=float(p50),
        stop_p95_ms=float(p95),
        n_interruptions=len(interruptions),
        n_missed=len(interruptions) - len(took_ms),
        n_backchannels=len(backchannels),
        n_wrongly_stopped=sum(one.stopped_s is not None for one in backchannels),
    )


def _backchannels() -> Iterator[tuple[str, Samples]]:
    for name, voice in _voices():
        for text in BACKCHANNELS:
            samples = spoken(voice, text)
            for pace in PACES:
                yield f"{text} ({name}, {pace:g})", acoustics.change_speed(samples, pace)


def _interruptions() -> Iterator[tuple[str, Samples]]:
    for name, voice in _voices():
        for text in INTERRUPTIONS:
            yield f"{text} ({name})", spoken(voice, text)


def _voices() -> list[tuple[str, Synthesizer]]:
    """The voices that are installed, by name: of callers, so not as the domain has them speak."""
    from rejoinder.tts.hibari import HibariSynthesizer
    from rejoinder.tts.vits import VitsSynthesizer

    found: list[tuple[str, Synthesizer]] = []
    for name, load in (("hibari", HibariSynthesizer.load), ("joe", VitsSynthesizer.load)):
        try:
            found.append((name, load()))
        except ModelError:  # it is not installed
            continue
    return found
