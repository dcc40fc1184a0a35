"""One recording through a live session: what was heard, understood and answered, and when.

The session runs in lockstep with the audio, so that the same recording gives the same result on any machine.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rejoinder.assistant import Assistant
from rejoinder.audio import SAMPLE_RATE, frames
from rejoinder.dialogue import DialogueState
from rejoinder.evaluate.records import Meaning, Turn
from rejoinder.evaluate.sets import Recording
from rejoinder.evaluate.turntaking import Call
from rejoinder.events import (
    Event,
    ReplyAudio,
    ReplyContinued,
    ReplyStarted,
    Samples,
    StageFailed,
    TurnEnded,
    Understanding,
    Understood,
)
from rejoinder.session import SessionOptions
from rejoinder.text import normalize
from rejoinder.vad import CHUNK_SAMPLES

NEVER_S = 3600.0

LOCKSTEP = SessionOptions(lockstep=True, partial_interval_s=NEVER_S)
"""Without a look at words in mid-speech: they change when a reply is ready, which is measured elsewhere, not what was
heard or when the turn is over, and they are two thirds of the time that a recording takes."""

_STAGES = ("recognize", "understand", "respond")
E = TypeVar("E")


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What came of a recording."""

    turn: Turn
    samples: Samples
    """What was said, as the session heard it: float32 of shape (n_samples,)."""
    failures: tuple[str, ...]
    """Stages that raised, or took too long."""


def hear(
    assistant: Assistant, recording: Recording, call: Call, *, system: str, condition: str, utterance: str
) -> Heard:
    """Have a session hear `call`, which is `recording` through a condition.

    Raises `AudioError` when the recording cannot be read.
    """

    def is_answer(event: Event) -> bool:
        """Whether the reply to the last word begins."""
        return isinstance(event, ReplyAudio) and event.at_s > call.end_s

    events = asyncio.run(listen(assistant, call.samples, until=is_answer))
    return Heard(
        _turn(assistant, recording, call, events, (system, condition, utterance)),
        call.recorded,
        tuple(f"{event.stage} failed: {event.message}" for event in _of(StageFailed, events)),
    )


async def listen(
    assistant: Assistant, samples: Samples, *, until: Callable[[Event], bool], options: SessionOptions = LOCKSTEP
) -> list[Event]:
    """All events of a session that hears the samples, up to the first of which `until` is true."""
    events: list[Event] = []
    reached = False
    async with assistant.session(options=options) as session:

        async def collect() -> None:
            nonlocal reached
            async for event in session.events():
                events.append(event)
                reached = reached or until(event)

        collecting = asyncio.create_task(collect())
        for frame in frames(samples, CHUNK_SAMPLES):
            await session.feed(frame)
            await asyncio.sleep(0)  # `collect` takes what there is
            if reached:
                break
        collecting.cancel()
    return events


def is_wrong(turn: Turn) -> bool:
    """Whether somebody will want to listen to it: not understood or, where only words are known, others were heard."""
    if turn.is_understood is not None:
        return not turn.is_understood
    return normalize(turn.heard) != normalize(turn.said or "")


def _turn(
    assistant: Assistant, recording: Recording, call: Call, events: Sequence[Event], key: tuple[str, str, str]
) -> Turn:
    """What the events say, and where it went wrong what the same models make of it at leisure."""
    pipeline = assistant.pipeline
    ended, understood = _of(TurnEnded, events), _of(Understood, events)
    spoken = _sentences(ended)
    meant = None
    if recording.has_meaning:
        meant = Meaning(recording.intent, dict(recording.slots or {}))
    made = _meaning(understood[-1].understanding) if understood else None
    of_reference = whole = of_whole = None
    if recording.text is not None:
        of_reference = _meaning(pipeline.understand(recording.text, DialogueState()))
    if meant is not None and (made is None or not made.same_as(meant)):
        whole = assistant.conversation().transcribe(call.recorded).text
        of_whole = _meaning(pipeline.understand(whole, DialogueState()))
    system, condition, utterance = key
    return Turn(
        system,
        condition,
        utterance,
        duration_s=round(call.n_recorded / SAMPLE_RATE, 3),
        said=recording.text,
        heard=" ".join(one.text for one in spoken if one.text),
        confidence=sum(one.confidence for one in spoken) / len(spoken) if spoken else 0.0,
        meant=meant,
        understood=made,
        of_reference=of_reference,
        whole=whole,
        of_whole=of_whole,
        speech_end_s=round(call.end_s, 3),
        heard_until_s=round(ended[0].speech_end_s, 3) if ended else None,
        decided_s=round(ended[0].at_s, 3) if ended else None,
        n_turns=len(spoken),
        reply=_reply(events),
        took_s=_took_s(events),
    )


def _sentences(ended: Sequence[TurnEnded]) -> list[TurnEnded]:
    """The turns but for those that were taken up again: the later one holds their words."""
    kept: list[TurnEnded] = []
    for one in ended:
        if one.continues and kept:
            kept.pop()
        kept.append(one)
    return kept


def _meaning(understanding: Understanding) -> Meaning:
    slots = dict(understanding.slots)
    return Meaning(understanding.intent, slots, round(understanding.confidence, 4), understanding.source)


def _reply(events: Sequence[Event]) -> str:
    """The words of the last reply."""
    text = ""
    for event in events:
        match event:
            case ReplyStarted(text=first):
                text = first
            case ReplyContinued(text=more):
                text = f"{text} {more}"
    return text


def _took_s(events: Sequence[Event]) -> Mapping[str, float]:
    """Wall-clock seconds of the last turn by stage."""
    took_s: dict[str, float] = {}
    for event in events:
        match event:
            case TurnEnded(timings_s=timings_s):
                took_s = {stage: round(timings_s.get(stage, 0.0), 4) for stage in _STAGES}
            case ReplyAudio(decision_s=float(seconds)):
                took_s["first audio"] = round(seconds, 4)
    return took_s


def _of(kind: type[E], events: Sequence[object]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]
