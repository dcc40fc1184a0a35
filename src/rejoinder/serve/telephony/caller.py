"""What a caller does on a telephone line, whichever protocol tells of it."""

from dataclasses import dataclass
from typing import TypeAlias

LINE_RATE = 8_000
"""Samples, and bytes of G.711, a second on every telephone line."""

FRAME_S = 0.02
"""Audio in one packet or message, as all telephony has it."""

MOST_MISSING_S = 5.0
"""Lost audio that is made up for with silence; after a longer gap, the conversation goes on where it stands."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The caller's next audio, G.711."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class Missed:
    """So many samples before what follows were lost, or not sent because they were silence."""

    n_samples: int


@dataclass(frozen=True, slots=True)
class Pressed:
    """A key of the caller's."""

    key: str


CallerEvent: TypeAlias = Heard | Missed | Pressed
