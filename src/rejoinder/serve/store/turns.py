"""A turn as the store keeps it, and what its owner says about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one caller said, what it was taken to mean, and what came of it."""

    call: str
    door: str
    owner: str | None = None
    """Whom the API key of the call was given to."""
    n: int
    """Its number within the call, the first being 1."""
    at: datetime
    """When it ended, in UTC."""
    text: str
    text_confidence: float = 1.0
    intent: str | None = None
    confidence: float = 0.0
    slots: Mapping[str, str] = field(default_factory=dict)
    source: str = "none"
    """Who decided, see `Understanding.source`."""
    reply: str = ""
    typed: bool = False
    draft_hit: bool = False
    cut_off: bool = False
    """It was taken to be over too soon at first."""
    interrupted: bool = False
    """The caller spoke over the reply."""
    n_backchannels: int = 0
    failed: tuple[str, ...] = ()
    """Stages that raised or took too long."""
    action: str | None = None
    action_ok: bool | None = None
    ended: str | None = None
    """For the last turn: why the call was over ("hangup", "transfer", "closed", "idle")."""
    silence_s: float = 0.0
    """From the last sound of speech to the decision that the turn was over."""
    first_audio_s: float | None = None
    """From that decision to the reply's first sample."""
    timings_s: Mapping[str, float] = field(default_factory=dict)


class Verdict(StrEnum):
    """What the owner says about a turn."""

    FINE = "fine"
    CORRECTED = "corrected"
    OUT_OF_SCOPE = "out_of_scope"


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What a turn should have been taken for."""

    verdict: Verdict
    text: str
    intent: str | None = None
    slots: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kept:
    """A turn in the store."""

    id: int
    turn: Turn
    has_audio: bool = False
    correction: Correction | None = None
