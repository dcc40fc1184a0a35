"""Conversations as a domain's owner writes them, in `<domain>/tests/*.yaml`: what callers do, and what comes of it.

    conversations:
      - name: a latte, made large
        turns:
          - caller: I'd like a latte
            slots: {coffeeDrink: latte}
            says: [latte, $3.50]
          - {caller: "wait, make it large", at_s: 1.5, interrupted: true, says: $4.50}
          - {caller: yes please, action: orderDrink, says: '/order number is \\d+/'}

docs/conversations.md explains every key. Reading checks them against the domain, so that a misspelled slot is an error
with file and line, rather than a test that can never pass.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from rejoinder.conditions import condition
from rejoinder.domain import Domain, SlotKind
from rejoinder.domain.reading import validated
from rejoinder.domain.schema import Entry, Name, Text, Texts
from rejoinder.domain.source import KeyPath, Source, did_you_mean
from rejoinder.errors import AudioError, DomainError
from rejoinder.model_table import Role, named

FILES = "tests/*.yaml"
"""Where a domain's conversations stand, in its folder."""

NONE = "none"
"""No intent, no action, no reply, no end."""

FAILS = "fails"
"""An action that is run and does not succeed."""

KNOWLEDGE = "knowledge"
"""The intent of a question that the knowledge answers."""

COMMANDS = ("cancel", "goodbye", "help", "no", "person", "repeat", "thanks", "yes")
"""Intents that every domain has."""

ENDS = ("hangup", "idle", "transfer", NONE)
"""How a call may end: "idle" after a silence that nobody breaks."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a caller sounds."""

    voice: str | None = None
    """A name from the model table; None: the assistant's own voice speaks for the caller, too."""
    speed: float = 1.0
    """1.2 is a fifth faster, at the same pitch."""
    condition: str = "clean"
    """What the line does to it, as `conditions.condition` has it."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a turn is to bring about; what is None or empty is not looked at."""

    intent: str | None = None
    slots: Mapping[str, str] | None = None
    """These and no others. Closed slots have canonical values, the others may have words ("tomorrow")."""
    says: tuple[str, ...] = ()
    """Texts that are all in the reply (see `contains`), or `NONE` alone."""
    not_says: tuple[str, ...] = ()
    source: str | None = None
    """In the name of the file and heading that answer."""
    action: str | None = None
    interrupted: bool | None = None
    ends: str | None = None
    within_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What the caller does next: speaks (words, a recording of them, or both), keeps silent, or only listens."""

    caller: str | None = None
    recording: Path | None = None
    silence_s: float | None = None
    at_s: float | None = None
    """Seconds into the reply before, at which the caller begins to speak; None: when it has ended."""
    manner: Manner = field(default_factory=Manner)
    expected: Expected = field(default_factory=Expected)

    @property
    def only_listens(self) -> bool:
        """Whether the caller waits for the greeting."""
        return self.caller is None and self.recording is None and self.silence_s is None


@dataclass(frozen=True, slots=True)
class Conversation:
    """A test that the domain's owner wrote."""

    name: str
    file: str
    """Relative to the domain's folder."""
    line: int
    turns: tuple[Turn, ...]
    pretend: Mapping[str, Mapping[str, str] | None] = field(default_factory=dict)
    """Actions that are not to run, with what they return instead; None: they fail."""


def domain_conversations(domain: Domain) -> tuple[Conversation, ...]:
    """The conversations of a domain, by file; none where its owner has written none.

    Raises `DomainError` that names everything that is wrong in all files, a line each.
    """
    found: list[Conversation] = []
    problems: list[str] = []
    for path in sorted(domain.folder.glob(FILES)):
        try:
            found += read_conversations(path, domain)
        except DomainError as error:
            problems.append(str(error))
    if problems:
        raise DomainError("\n".join(problems))
    return tuple(found)


def read_conversations(path: Path, domain: Domain) -> tuple[Conversation, ...]:
    """The conversations of one file, which stands in the domain's folder; raises `DomainError`, a problem a line."""
    source = Source.load(path, keys="conversations, pretend, voice, …")
    entry = validated(source, _FileEntry)
    checks = _Checks(source, domain)
    name = path.relative_to(domain.folder).as_posix() if path.is_relative_to(domain.folder) else path.name
    pretend = checks.pretended(entry.pretend, ())
    found = []
    for n, one in enumerate(entry.conversations):
        at: KeyPath = ("conversations", n)
        turns = tuple(
            checks.turn(turn, (*at, "turns", m), (turn, one, entry), is_first=m == 0)
            for m, turn in enumerate(one.turns)
        )
        own = {**pretend, **checks.pretended(one.pretend, at)}
        found.append(Conversation(one.name, name, source.mark(at).line, turns, own))
    checks.names([one.name for one in found])
    if source.problems:
        source.stop()
    return tuple(found)


def contains(text: str, wanted: str) -> bool:
    """Whether a reply has what is wanted: a part of it, whatever its capitals and spaces, or a match of `/…/`."""
    if pattern := _regex(wanted):
        return re.search(pattern, text, re.IGNORECASE) is not None
    return _plain(wanted) in _plain(text)


def _regex(wanted: str) -> str | None:
    """What stands between slashes."""
    return wanted[1:-1] if len(wanted) > 2 and wanted[0] == wanted[-1] == "/" else None


def _plain(text: str) -> str:
    return " ".join(text.replace("’", "'").casefold().split())


# The file as pydantic models.


def _none_is_empty(value: object) -> object:
    """`slots:` with nothing after it, or with "none", means that there are none."""
    return {} if value is None or value == NONE else value


class _SoundEntry(Entry):
    """How callers sound, which may be said of a turn, a conversation or a whole file."""

    voice: Text | None = None
    speed: Annotated[float, Field(ge=0.5, le=2)] | None = None
    condition: Text | None = None


class _TurnEntry(_SoundEntry):
    """A turn; a plain text is what the caller says."""

    caller: Text | None = None
    recording: Text | None = None
    silence_s: Annotated[float, Field(gt=0, le=600)] | None = None
    at_s: Annotated[float, Field(ge=0, le=600)] | None = None
    intent: Text | None = None
    slots: Annotated[dict[Name, Text], BeforeValidator(_none_is_empty)] | None = None
    says: Texts = Field(default_factory=list)
    not_says: Texts = Field(default_factory=list)
    source: Text | None = None
    action: Text | None = None
    interrupted: bool | None = None
    ends: Text | None = None
    within_ms: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, value: object) -> object:
        return {"caller": value} if isinstance(value, str) else value


class _PretendEntry(Entry):
    """What an action does in place of running: fail, or return values."""

    fails: bool = False
    returns: dict[Name, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, value: object) -> object:
        if value == FAILS:
            return {"fails": True}
        if value is not None and not isinstance(value, dict):
            raise PydanticCustomError("pretend", "must be 'fails', or a mapping of what the action returns")
        return {"returns": value or {}}


_Pretences = Annotated[dict[Name, _PretendEntry], BeforeValidator(_none_is_empty)]


class _ConversationEntry(_SoundEntry):
    name: Text
    turns: Annotated[list[_TurnEntry], Field(min_length=1)]
    pretend: _Pretences = Field(default_factory=dict)


class _FileEntry(_SoundEntry):
    conversations: list[_ConversationEntry] = Field(default_factory=list)
    pretend: _Pretences = Field(default_factory=dict)


# What needs the domain to be checked.


class _Checks:
    """Notes in `source` what does not fit the domain, and makes the rest into turns."""

    def __init__(self, source: Source, domain: Domain) -> None:
        self._source = source
        self._domain = domain
        self._actions = [name for name, intent in domain.intents.items() if intent.action is not None]

    def names(self, names: list[str]) -> None:
        """A name is how a conversation is known in reports: no two have the same."""
        for n, name in enumerate(names):
            if names.index(name) < n:
                first = self._source.mark(("conversations", names.index(name))).line
                self._source.problem(("conversations", n), f"'{name}' is given twice (first in line {first})")

    def pretended(self, entries: Mapping[str, _PretendEntry], at: KeyPath) -> dict[str, Mapping[str, str] | None]:
        """The actions that are not to run, of the file or of a conversation."""
        for name in entries:
            self._known("action", name, self._actions, (*at, "pretend", name))
        return {name: None if entry.fails else entry.returns for name, entry in entries.items()}

    def turn(self, entry: _TurnEntry, at: KeyPath, around: tuple[_SoundEntry, ...], *, is_first: bool) -> Turn:
        """The turn at `at`; `around` are the turn itself, its conversation and its file, the nearest first."""
        self._check_sense(entry, at, is_first=is_first)
        for key in ("says", "not_says"):
            for wanted in getattr(entry, key):
                self._check_regex(wanted, (*at, key))
        return Turn(
            entry.caller,
            self._recording(entry.recording, (*at, "recording")),
            entry.silence_s,
            entry.at_s,
            self._manner(around, at),
            self._expected(entry, at),
        )

    def _check_sense(self, entry: _TurnEntry, at: KeyPath, *, is_first: bool) -> None:
        """What goes together in one turn."""
        speaks = entry.caller is not None or entry.recording is not None
        if entry.silence_s is not None and speaks:
            self._source.problem((*at, "silence_s"), "'silence_s' is a turn of its own: nobody speaks in it")
        if not speaks and entry.silence_s is None and not is_first:
            what = "a turn needs 'caller', 'recording' or 'silence_s' (only the first may wait for the greeting)"
            self._source.problem(at, what)
        if entry.at_s is not None and is_first:
            self._source.problem((*at, "at_s"), "'at_s' is when a caller speaks over the reply before: there is none")
        elif entry.at_s is not None and not speaks:
            self._source.problem((*at, "at_s"), "'at_s' needs a caller who speaks then")
        if entry.interrupted is not None and entry.at_s is None:
            what = "'interrupted' needs 'at_s': how many seconds into the reply the caller begins to speak"
            self._source.problem((*at, "interrupted"), what)

    def _check_regex(self, wanted: str, at: KeyPath) -> None:
        try:
            re.compile(_regex(wanted) or "")
        except re.error as error:
            self._source.problem(at, f"{wanted} is not a regular expression: {error}")

    def _recording(self, name: str | None, at: KeyPath) -> Path | None:
        """A recording is named from the folder of the file that plays it."""
        if name is None:
            return None
        path = Path(self._source.mark(at).file).parent / name
        if not path.is_file():
            self._source.problem(at, f"there is no recording {path}")
        return path

    def _manner(self, around: tuple[_SoundEntry, ...], at: KeyPath) -> Manner:
        """What is said nearest of all counts."""
        said: dict[str, Any] = {}
        for entry, place in zip(reversed(around), ((), at[:2], at), strict=True):
            if entry.voice is not None:
                self._known("voice", entry.voice, named(Role.VOICE), (*place, "voice"))
            if entry.condition is not None:
                try:
                    condition(entry.condition)
                except AudioError as error:
                    self._source.problem((*place, "condition"), str(error))
            said |= entry.model_dump(include={"voice", "speed", "condition"}, exclude_none=True)
        return Manner(**said)

    def _expected(self, entry: _TurnEntry, at: KeyPath) -> Expected:
        if entry.intent is not None:
            intents = [*self._domain.intents, *COMMANDS, KNOWLEDGE, NONE]
            self._known("intent", entry.intent, intents, (*at, "intent"))
        if entry.action is not None:
            self._known("action", entry.action, [*self._actions, FAILS, NONE], (*at, "action"))
        if entry.ends is not None:
            self._known("end", entry.ends, list(ENDS), (*at, "ends"))
        if entry.source is not None and not any(entry.source in one.source for one in self._domain.passages):
            choices = did_you_mean(entry.source, [passage.source for passage in self._domain.passages])
            self._source.problem((*at, "source"), f"no answer of the knowledge stands in '{entry.source}' {choices}")
        return Expected(
            entry.intent,
            None if entry.slots is None else self._slots(entry.slots, (*at, "slots")),
            tuple(entry.says),
            tuple(entry.not_says),
            entry.source,
            entry.action,
            entry.interrupted,
            entry.ends,
            entry.within_ms,
        )

    def _slots(self, values: Mapping[str, str], at: KeyPath) -> Mapping[str, str]:
        """The slots with canonical values where they are closed."""
        found = {}
        for name, value in values.items():
            self._known("slot", name, list(self._domain.slots), (*at, name))
            slot = self._domain.slots.get(name)
            if slot is not None and slot.kind is SlotKind.CLOSED:
                forms = {form.casefold(): choice.value for choice in slot.choices for form in choice.forms}
                if value.casefold() not in forms:
                    choices = [choice.value for choice in slot.choices]
                    what = f"'{value}' is no value of the slot '{name}' {did_you_mean(value, choices)}"
                    self._source.problem((*at, name), what)
                value = forms.get(value.casefold(), value)
            found[name] = value
        return found

    def _known(self, what: str, name: str, choices: Sequence[str], at: KeyPath) -> None:
        if name not in choices:
            self._source.problem(at, f"unknown {what} '{name}' {did_you_mean(name, list(choices))}")
