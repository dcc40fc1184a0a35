"""What a session emits: a small closed set of frozen dataclasses, to be consumed with `match`.

Times end in `_s` and count seconds of the audio that the session received, so that a recording of
the events is also what an evaluation scores. `decision_s` and the other durations are wall-clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]
"""Mono audio, float32 in [-1, 1], shape (n_samples,)."""


class Completion(StrEnum):
    """How finished the caller's words are, as far as understanding can tell; endpointing waits accordingly."""

    COMPLETE = "complete"
    """A confident intent whose required slots are all there, or the very answer that was asked for."""
    PLAUSIBLE = "plausible"
    """It could end here: nothing says that more is to come, nothing says that it is whole."""
    INCOMPLETE = "incomplete"
    """A dangling word ("with", "and a"), a half-spoken number, or an intent whose required slot is missing."""


@dataclass(frozen=True, slots=True)
class Understanding:
    """What the caller meant.

    `slots` maps a slot's name to its canonical value, as the domain writes it. `source` says who decided:
    "pattern", "classifier", "slot" (the answer to a question), "command" ("cancel", "repeat that"), "knowledge",
    "llm" or "none" (out of scope).
    """

    text: str
    intent: str | None = None
    confidence: float = 0.0
    slots: Mapping[str, str] = field(default_factory=dict)
    source: str = "none"
    completion: Completion = Completion.PLAUSIBLE
    answer: str | None = None
    """For source "knowledge": the passage that answers, ready to be spoken."""
    answer_source: str | None = None
    """For source "knowledge": the file and heading of that passage."""
    answer_sentence: str | None = None
    """For an answer that a reader found: the sentence that it stands in."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller began to speak."""

    at_s: float


@dataclass(frozen=True, slots=True)
class PartialTranscript:
    """What was recognized so far: the first `n_stable` words will not change any more."""

    text: str
    n_stable: int
    at_s: float


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The caller's turn is over. `speech_end_s` is where the last speech was, `at_s` when this was decided."""

    text: str
    confidence: float
    speech_end_s: float
    at_s: float
    draft_hit: bool = False
    """Whether the reply that follows was already there."""
    continues: bool = False
    """These words begin with those of the turn before, which was taken to be over too soon."""
    timings_s: Mapping[str, float] = field(default_factory=dict)
    """Wall-clock seconds of each stage: "recognize", "understand", "respond", "wait"."""


@dataclass(frozen=True, slots=True)
class TurnDropped:
    """What began with `SpeechStarted` came to nothing: a noise, or a backchannel, after its own event."""

    speech_end_s: float
    at_s: float


@dataclass(frozen=True, slots=True)
class Understood:
    """What the turn was taken to mean; not emitted for drafts."""

    understanding: Understanding
    at_s: float


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """The words of the reply; its audio follows."""

    text: str
    at_s: float
    source: str | None = None


@dataclass(frozen=True, slots=True)
class ReplyContinued:
    """More words of a reply that is still being thought of (a language model's)."""

    text: str
    at_s: float


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    """A piece of the reply's audio; the first one of a turn tells how long after the decision it came."""

    samples: Samples
    sample_rate: int
    at_s: float
    decision_s: float | None = None
    """Seconds of wall clock from the end-of-turn decision to this, on the first piece only."""


@dataclass(frozen=True, slots=True)
class ReplyDone:
    """The reply was handed over whole, or the caller interrupted it.

    Audio is made faster than it is heard, so an interruption can still follow a reply that was handed over whole.
    """

    interrupted: bool
    at_s: float
    heard_s: float = 0.0
    """For an interruption: how much of the reply's audio was heard by then, as far as the audio clock tells."""


@dataclass(frozen=True, slots=True)
class BackchannelHeard:
    """An "uh-huh" during a reply: the assistant goes on."""

    text: str
    at_s: float


@dataclass(frozen=True, slots=True)
class ActionRun:
    """An action of the domain ran, after its turn was committed."""

    name: str
    ok: bool
    took_s: float
    at_s: float


@dataclass(frozen=True, slots=True)
class StageFailed:
    """A stage raised or took too long; the session goes on."""

    stage: str
    message: str
    at_s: float


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session is over: it was closed, or the dialogue hung up or handed the call to a person."""

    reason: str
    at_s: float


Event: TypeAlias = (
    SpeechStarted
    | PartialTranscript
    | TurnEnded
    | TurnDropped
    | Understood
    | ReplyStarted
    | ReplyContinued
    | ReplyAudio
    | ReplyDone
    | BackchannelHeard
    | ActionRun
    | StageFailed
    | SessionEnded
)


class Watcher(Protocol):
    """Is told of all that happens in a session, before its transport is: metrics, traces, a store.

    It is called on the event loop, so it must return at once, and must not raise.
    """

    def event(self, event: Event) -> None:
        """The session emits an event."""

    def audio(self, frame: Samples) -> None:
        """The caller's next audio: float32 mono of shape (n_samples,) at `audio.SAMPLE_RATE`."""

    def closed(self) -> None:
        """The call is over; nothing follows."""
