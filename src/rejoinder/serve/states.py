"""Where calls stand, kept beside them: a caller whose connection, or whose server, is lost goes on from there.

What is kept holds what callers said, as slots. So it is in memory only, under a key that its caller alone can make,
until the call ends as calls do, and for `KEPT_S` at most.
"""

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from rejoinder.dialogue import DialogueState

KEPT_S = 600.0
"""How long it is remembered where a call stood when it last changed."""

N_KEPT = 4096
"""Calls that are remembered, live and lost ones; the one that changed longest ago is forgotten first."""

ANSWER_S = 2.0
"""How long to wait for an answer when the states are kept on another machine."""

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a call stands after a turn."""

    state: DialogueState = field(default_factory=DialogueState)
    n_turns: int = 0
    """Turns that were answered: tells a client that was cut off whether its last words had come through."""

    def to_json(self) -> str:
        """As text: what one release of Rejoinder kept, the next one must be able to read."""
        return _STANDING.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> "Standing":
        """Read it; raises `ValueError` when it is something else."""
        return _STANDING.validate_json(text)


_STANDING: TypeAdapter[Standing] = TypeAdapter(Standing)


class States(Protocol):
    """Keeps texts by key, each for one call at a time: the one that took it last."""

    @property
    def aside_s(self) -> float:
        """How long a text waits to be kept: where that takes time, the reply's first audio goes before."""

    async def keep(self, key: str, call: str, text: str) -> None:
        """Remember a text in place of the one before; nothing happens when another call has taken it."""

    async def take(self, key: str, call: str) -> str | None:
        """The text, from now on that of `call`; None when there is none (any more)."""

    async def forget(self, key: str, call: str) -> None:
        """Delete it; nothing happens when another call has taken it."""


@dataclass(frozen=True, slots=True)
class _Kept:
    call: str
    text: str
    at_s: float


class MemoryStates:
    """Keeps them in the memory of one process."""

    aside_s = 0.0

    def __init__(
        self, *, n_most: int = N_KEPT, kept_s: float = KEPT_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._n_most = n_most
        self._kept_s = kept_s
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    async def keep(self, key: str, call: str, text: str) -> None:
        """See `States`."""
        found = self._found(key)
        if found is None or found.call == call:
            self._put(key, _Kept(call, text, self._clock()))

    async def take(self, key: str, call: str) -> str | None:
        """See `States`."""
        if (found := self._found(key)) is None:
            return None
        self._put(key, _Kept(call, found.text, self._clock()))
        return found.text

    async def forget(self, key: str, call: str) -> None:
        """See `States`."""
        if (found := self._found(key)) is not None and found.call == call:
            del self._kept[key]

    def __len__(self) -> int:
        return len(self._kept)

    def _found(self, key: str) -> _Kept | None:
        self._expire()
        return self._kept.get(key)

    def _put(self, key: str, kept: _Kept) -> None:
        self._kept[key] = kept
        self._kept.move_to_end(key)
        if len(self._kept) > self._n_most:
            self._kept.popitem(last=False)
        self._wait_for_the_oldest()

    def _expire(self) -> None:
        """Drop what is too old: the entries are in the order in which they changed."""
        oldest_s = self._clock() - self._kept_s
        while self._kept and next(iter(self._kept.values())).at_s <= oldest_s:
            self._kept.popitem(last=False)

    def _wait_for_the_oldest(self) -> None:
        """Drop it in time, though nobody may ask for anything any more."""
        if self._kept and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._kept_s, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._expire()
        self._wait_for_the_oldest()


class Keeper:
    """Keeps where one call stands. The caller never waits for it, and never notices when it fails."""

    def __init__(self, states: States, token: str, *, owner: str | None, call: str) -> None:
        self.token = token
        """Lets the caller, and nobody else, resume the call."""
        self.resumed: Standing | None = None
        """Where the lost call stood that this one goes on from, if it does."""
        self._states = states
        self._key = key_of(token, owner)
        self._call = call
        self._last: Standing | None = None
        self._next: Standing | None = None
        self._writing: asyncio.Task[None] | None = None

    async def resume(self) -> bool:
        """Whether there is a lost call of this token; then it is this one's, and `resumed` says where it stood."""
        text = await _answered(self._states.take(self._key, self._call), "taken up")
        if text is not None:
            try:
                self.resumed = self._last = Standing.from_json(text)
            except ValidationError:
                logger.warning("a call's state cannot be read")
        return self.resumed is not None

    def keep(self, standing: Standing) -> None:
        """Remember this; where an earlier one is still being written, only the latest follows it."""
        if standing == self._last:
            return
        self._last = self._next = standing
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def end(self, *, goes_on: bool) -> None:
        """The call is over: forget it, unless it `goes_on` on another connection."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
        if not goes_on:
            await _answered(self._states.forget(self._key, self._call), "forgotten")

    async def _write(self) -> None:
        while (standing := self._next) is not None:
            await asyncio.sleep(self._states.aside_s)
            standing, self._next = self._next or standing, None
            await _answered(self._states.keep(self._key, self._call, standing.to_json()), "kept")


async def leave(states: States, name: str, text: str) -> None:
    """Leave a text for a later request, which another server may answer."""
    await _answered(states.keep(key_of(name, None), name, text), "kept")


async def pick_up(states: States, name: str) -> str | None:
    """What was left under a name, once."""
    key = key_of(name, None)
    if (text := await _answered(states.take(key, name), "taken up")) is not None:
        await _answered(states.forget(key, name), "forgotten")
    return text


async def _answered(asked: Awaitable[Result], what: str) -> Result | None:
    """The answer, or None when there is none in time: wherever the states are kept, calls go on without it."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await asked
    except Exception as error:
        logger.warning("a call's state was not %s: %s", what, type(error).__name__)
        return None


def key_of(token: str, owner: str | None) -> str:
    """What the state of a call is kept under: without its token, and the key of its owner, nobody finds it."""
    return hashlib.sha256(f"{owner or ''}\0{token}".encode()).hexdigest()
