"""What the page and the server tell each other in JSON; audio goes in binary frames beside it."""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rejoinder.audio import SAMPLE_RATE
from rejoinder.events import (
    ActionRun,
    BackchannelHeard,
    Event,
    PartialTranscript,
    ReplyAudio,
    ReplyContinued,
    ReplyDone,
    ReplyStarted,
    SessionEnded,
    SpeechStarted,
    StageFailed,
    TurnDropped,
    TurnEnded,
    Understood,
)

Message: TypeAlias = dict[str, Any]

LONGEST_TEXT = 2_000
"""Characters of a typed turn."""

LONGEST_MESSAGE = 16_000
"""Characters of one JSON message of the page."""

LONGEST_FRAME = 2 * SAMPLE_RATE
"""Bytes of one binary frame of the page: a second of 16-bit samples."""


class UnreadableError(Exception):
    """What a client sent is no message of the page; says why, without quoting it."""


class _ClientMessage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Hello(_ClientMessage):
    """Comes first: whether a conversation goes on, and where."""

    type: Literal["hello"]
    resume: Annotated[str, Field(max_length=64)] | None = None
    """The token of an earlier `welcome`, after a lost connection."""
    greet: bool = True
    """Whether a new conversation begins with the domain's greeting; one that is typed does not."""
    barge_in: bool = True
    """Whether the caller can interrupt by voice; off for a loudspeaker that the microphone picks up."""


class Text(_ClientMessage):
    """A typed turn."""

    type: Literal["text"]
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT, pattern=r"\S")]


class Played(_ClientMessage):
    """A reply that had been sent whole has been heard whole."""

    type: Literal["played"]
    reply: Annotated[int, Field(ge=0)]


class Stop(_ClientMessage):
    """Stop the reply, as when the caller speaks over it."""

    type: Literal["stop"]


class Goodbye(_ClientMessage):
    """The caller ends the conversation; it cannot be resumed."""

    type: Literal["goodbye"]


ClientMessage: TypeAlias = Hello | Text | Played | Stop | Goodbye

_CLIENT_MESSAGES: TypeAdapter[ClientMessage] = TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])


def parse(text: str) -> ClientMessage:
    """A message of the page; raises `UnreadableError`."""
    if len(text) > LONGEST_MESSAGE:
        raise UnreadableError(f"a message may have {LONGEST_MESSAGE} characters")
    try:
        return _CLIENT_MESSAGES.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnreadableError(f"{where}: {first['type']}" if where else first["type"]) from None


def written(message: Message) -> str:
    """A message as it is sent."""
    return json.dumps(message, ensure_ascii=False, allow_nan=False)


def message_of(event: Event, *, reply: int) -> Message:
    """What the page is told of an event. `reply` numbers the replies of the connection, from 1.

    Of `ReplyAudio` this is only the announcement: the samples follow in binary frames that begin with the same number.
    """
    match event:
        case SpeechStarted(at_s=at_s):
            return {"type": "speech_started", "at_s": _seconds(at_s)}
        case PartialTranscript():
            return {"type": "partial", "text": event.text, "n_stable": event.n_stable, "at_s": _seconds(event.at_s)}
        case TurnEnded():
            return {
                "type": "turn_ended",
                "text": event.text,
                "confidence": _share(event.confidence),
                "speech_end_s": _seconds(event.speech_end_s),
                "at_s": _seconds(event.at_s),
                "draft_hit": event.draft_hit,
                "continues": event.continues,
                "timings_s": _durations(event.timings_s),
            }
        case TurnDropped(at_s=at_s):
            return {"type": "turn_dropped", "at_s": _seconds(at_s)}
        case Understood(understanding=understanding, at_s=at_s):
            return {
                "type": "understood",
                "intent": understanding.intent,
                "confidence": _share(understanding.confidence),
                "slots": dict(understanding.slots),
                "source": understanding.source,
                "answer_source": understanding.answer_source,
                "at_s": _seconds(at_s),
            }
        case ReplyStarted():
            started = {"type": "reply_started", "reply": reply, "text": event.text, "source": event.source}
            return {**started, "at_s": _seconds(event.at_s)}
        case ReplyContinued(text=text, at_s=at_s):
            return {"type": "reply_continued", "reply": reply, "text": text, "at_s": _seconds(at_s)}
        case ReplyAudio():
            return {
                "type": "reply_audio",
                "reply": reply,
                "sample_rate": event.sample_rate,
                "n_samples": len(event.samples),
                "decision_s": None if event.decision_s is None else _seconds(event.decision_s),
                "at_s": _seconds(event.at_s),
            }
        case ReplyDone():
            done = {"type": "reply_done", "reply": reply, "interrupted": event.interrupted}
            return {**done, "heard_s": _seconds(event.heard_s), "at_s": _seconds(event.at_s)}
        case BackchannelHeard(text=text, at_s=at_s):
            return {"type": "backchannel", "text": text, "at_s": _seconds(at_s)}
        case ActionRun():
            ran = {"type": "action_run", "name": event.name, "ok": event.ok}
            return {**ran, "took_s": _seconds(event.took_s), "at_s": _seconds(event.at_s)}
        case StageFailed(stage=stage, message=message, at_s=at_s):
            return {"type": "stage_failed", "stage": stage, "message": message, "at_s": _seconds(at_s)}
        case SessionEnded(reason=reason, at_s=at_s):
            return {"type": "session_ended", "reason": reason, "at_s": _seconds(at_s)}


def _seconds(value: float) -> float:
    return round(value, 4) if math.isfinite(value) else 0.0


def _share(value: float) -> float:
    return min(1.0, max(0.0, round(value, 4))) if math.isfinite(value) else 0.0


def _durations(timings_s: Mapping[str, float]) -> dict[str, float]:
    return {stage: _seconds(seconds) for stage, seconds in timings_s.items()}
