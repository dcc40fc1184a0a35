"""What a run leaves behind, one JSON line a measurement: the input of scores and reports, and where a run goes on.

A run is a folder:

    run.json              what was run: `Run`
    turns.jsonl           one `Turn` for each recording, system and condition
    waits.jsonl           one `Wait` for each turn of the load test
    spoken.jsonl          one `Spoken` for each sentence that the voice said
    conversations.jsonl   one `Played` for each conversation
    endings.jsonl         one `turntaking.Ending` for each recording and setting of the endpointer
    overlaps.jsonl        one `overlap.Overlap` for each time that somebody spoke over a reply
    audio/                what was heard in turns that went wrong, as the session heard it (FLAC)
    scores.json, report.html, summary.md
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, ClassVar, Protocol, TypeVar

from rejoinder.errors import RejoinderError

RUN, TURNS, WAITS, SPOKEN, PLAYED = "run.json", "turns.jsonl", "waits.jsonl", "spoken.jsonl", "conversations.jsonl"
AUDIO = "audio"

BASE, INSTANT, DEEP = "base", "instant", "deep"
"""Systems: the pretrained models without the domain's words, with them, and with the models that were promoted."""


class Stage(StrEnum):
    """Where a turn was lost."""

    TURNS = "turn taking"
    """Heard whole, it would have been understood; the live session cut it off, missed it or heard another turn."""
    RECOGNITION = "recognition"
    """The words that were said are understood; those that were heard are not."""
    UNDERSTANDING = "understanding"
    """The words that were said are not understood either."""
    DIALOGUE = "dialogue"
    """All was understood, and what was said or done is wrong."""
    UNKNOWN = "unknown"
    """Recognition or understanding: the recording has no transcript, and was never understood in any condition."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a caller wants, or what they were taken to want."""

    intent: str | None
    slots: Mapping[str, str] = field(default_factory=dict)
    confidence: float = 1.0
    source: str = ""
    """As `events.Understanding.source`."""

    def same_as(self, other: "Meaning") -> bool:
        """Whether intent and every slot agree."""
        return self.intent == other.intent and dict(self.slots) == dict(other.slots)


@dataclass(frozen=True, slots=True)
class Turn:
    """A recording as one system heard and answered it live, through one condition."""

    system: str
    """"base", "instant", "deep", or the id of an adapted model."""
    condition: str
    utterance: str
    """The same for the same recording in every system and condition."""
    duration_s: float
    said: str | None
    """The reference transcript, as written in the set."""
    heard: str
    """What the live session made of it, all its turns."""
    confidence: float
    """The recognizer's."""
    meant: Meaning | None
    """What the set says; None for one that has words only. Its `intent` None: no intent of the domain covers it."""
    understood: Meaning | None
    """By the live session, of its last turn; None when no turn ended."""
    of_reference: Meaning | None = None
    """What the same understanding makes of `said`; None without words."""
    whole: str | None = None
    """What the same recognizer makes of the recording in one piece; only where the live session did not understand."""
    of_whole: Meaning | None = None
    speech_end_s: float = 0.0
    """Where the last speech of the recording ends."""
    heard_until_s: float | None = None
    """Where the first turn's speech ended, for the session; None when no turn ended."""
    decided_s: float | None = None
    """When the session decided that; the delay is this less `speech_end_s`."""
    n_turns: int = 0
    """Turns that the session made of one recording, those that were taken up again aside."""
    reply: str = ""
    took_s: Mapping[str, float] = field(default_factory=dict)
    """Wall-clock seconds by stage: "recognize", "understand", "respond", and "first audio" after the decision."""
    audio: str | None = None
    """What was heard, relative to the run's folder; kept for turns that went wrong."""
    lost: Stage | None = None
    """Set when all of the run's turns are there (`attribution.attribute`); None for those understood."""

    @property
    def is_understood(self) -> bool | None:
        """Whether intent and every slot are right; None where it is not known what was meant."""
        if self.meant is None:
            return None
        return self.understood is not None and self.understood.same_as(self.meant)

    @property
    def is_cut_off(self) -> bool:
        """Whether the session took the caller's turn to be over before they had finished."""
        return self.heard_until_s is not None and self.heard_until_s < self.speech_end_s - EARLY_S

    @property
    def key(self) -> tuple[str, str, str]:
        """What a turn is known by within its run."""
        return self.system, self.condition, self.utterance


EARLY_S = 0.1
"""A turn that was over this long before the last word was cut off."""


@dataclass(frozen=True, slots=True)
class Wait:
    """How long one caller waited for a reply, at real-time pace beside others."""

    system: str
    n_callers: int
    utterance: str
    endpointing_s: float
    """From the last sample of speech to the decision that the turn is over."""
    first_audio_s: float
    """From that decision to the first sample of the reply."""
    took_s: Mapping[str, float]
    """Wall-clock seconds of the work on this turn by stage, most of it done before the decision."""
    draft_hit: bool
    cut_off: bool
    answered: bool = True
    """A turn that was not answered has zeros elsewhere."""
    loop_lag_s: float = 0.0
    """Longest time that the event loop was late with this caller's audio."""

    @property
    def total_s(self) -> float:
        """Last sample of speech to first sample of the reply."""
        return self.endpointing_s + self.first_audio_s


@dataclass(frozen=True, slots=True)
class Spoken:
    """A sentence that the assistant's voice said, and the recognizer heard."""

    system: str
    kind: str
    """"reply", "term", "number", "money", "code", "date", …"""
    text: str
    heard: str
    n_words: int
    n_errors: int
    value: str | None = None
    """What is to be understood again, in its canonical form; None for plain sentences."""
    value_heard: str | None = None
    first_audio_s: float = 0.0
    duration_s: float = 0.0
    audio: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation of a conversation."""

    what: str
    """"intent", "slots", "says", "action", "within_ms", "interrupted", …"""
    expected: str
    got: str
    ok: bool


@dataclass(frozen=True, slots=True)
class PlayedTurn:
    """A turn of a conversation, as it went."""

    caller: str
    """What was said, or the recording's name."""
    heard: str
    reply: str
    checks: tuple[Check, ...]
    took_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Played:
    """One conversation of the domain's `tests/*.yaml`, as it went."""

    system: str
    file: str
    name: str
    mode: str
    """"text" or "audio"."""
    repeat: int
    turns: tuple[PlayedTurn, ...]
    error: str | None = None
    """Why it could not be played to its end."""
    took_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether all went as expected."""
        return self.error is None and all(check.ok for turn in self.turns for check in turn.checks)


@dataclass(frozen=True, slots=True)
class Run:
    """What was run, and on what."""

    id: str
    domain: str
    created: str
    """ISO 8601, UTC."""
    systems: Mapping[str, Mapping[str, str]]
    """By name: the model of each stage."""
    conditions: tuple[str, ...]
    test_set: Mapping[str, Any]
    """Name, number of recordings, sha256."""
    machine: str
    version: str
    key: str
    """Of all that decides the results: a killed run with the same key goes on."""
    minutes: float = 0.0
    """0 until it is finished."""
    problems: tuple[str, ...] = ()
    """What could not be measured, and why: recordings that cannot be read, stages that failed."""


class Record(Protocol):
    """A dataclass of this module."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


R = TypeVar("R", bound=Record)


def append(folder: Path, name: str, *records: Record) -> None:
    """Write records at once, and all in one: what a killed run has measured is not lost, and not half there."""
    lines = "".join(json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in records)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("ab+") as file:
        if file.tell() and _last_byte(file) != b"\n":  # a kill cut the line short
            lines = "\n" + lines
        file.write(lines.encode())


def _last_byte(file: IO[bytes]) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read()


def read(folder: Path, name: str, kind: type[R]) -> Iterator[R]:
    """The records of one file, in their order; a line that a kill cut short is left out."""
    path = folder / name
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):  # a letter may be cut short, too
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        yield from_json(kind, entry)


def read_run(folder: Path) -> Run:
    """What a folder says that was run in it; raises `RejoinderError` where it is no run's."""
    path = folder / RUN
    try:
        return from_json(Run, json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RejoinderError(f"{folder}: is no run of an evaluation: it has no {RUN}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise RejoinderError(f"{path}: is damaged ({error}); delete the folder") from error


def from_json(kind: type[R], entry: Mapping[str, Any]) -> R:
    """A record from its JSON object; keys that it does not have are left out."""
    known = {item.name for item in fields(kind)}
    return kind(**{name: _value(name, value) for name, value in entry.items() if name in known})


def _value(name: str, value: Any) -> Any:
    """A field that holds a record of its own."""
    match name:
        case "meant" | "understood" | "of_reference" | "of_whole" if value is not None:
            return Meaning(**value)
        case "lost" if value is not None:
            return Stage(value)
        case "turns":
            return tuple(from_json(PlayedTurn, turn) for turn in value)
        case "checks":
            return tuple(Check(**check) for check in value)
        case "conditions" | "problems":
            return tuple(value)
    return value
