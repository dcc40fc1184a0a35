"""A reply on its way to the caller: its audio, made clause by clause, and what waits for the transport to take it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

from rejoinder.events import Event, ReplyAudio, Samples, Watcher

Runner: TypeAlias = Callable[[Callable[[], Samples | None], float], Awaitable[Samples | None]]
"""Runs a blocking call on a thread, given in how many seconds its result is wanted."""


class Speech:
    """The audio of one reply, clause by clause; the `first` may have been made ahead, in a draft."""

    def __init__(self, pieces: Iterator[Samples], run: Runner, *, first: Samples | None = None) -> None:
        self._pieces = pieces
        self._run = run
        self._first = first

    @property
    def ready(self) -> bool:
        """Whether the next clause is there."""
        return self._first is not None

    async def take(self, wanted_in_s: float) -> Samples | None:
        """The next clause's audio, float32 of shape (n_samples,), or None at the end."""
        first, self._first = self._first, None
        return first if first is not None else await self._run(lambda: next(self._pieces, None), wanted_in_s)


class Outbox:
    """A session's events until its transport takes them; of audio, only so much may wait."""

    def __init__(self, most_audio_s: float, watcher: Watcher | None) -> None:
        self._most_audio_s = most_audio_s
        self._watcher = watcher
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._audio_s = 0.0
        self._taken = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether as much audio waits as may."""
        return self._audio_s > self._most_audio_s

    def put(self, event: Event) -> None:
        """Emit an event; whoever watches is told at once."""
        if self._watcher is not None:
            self._watcher.event(event)
        if isinstance(event, ReplyAudio):
            self._audio_s += len(event.samples) / event.sample_rate
        self._events.put_nowait(event)

    async def take(self, timeout_s: float | None) -> Event:
        """The next event; raises `TimeoutError` when none comes within `timeout_s`."""
        async with asyncio.timeout(timeout_s):  # `wait_for` of Python 3.11 may swallow a cancellation
            event = await self._events.get()
        if isinstance(event, ReplyAudio):
            self._audio_s -= len(event.samples) / event.sample_rate
            self._taken.set()
        return event

    async def room(self) -> None:
        """Wait until more audio may be put."""
        while self.is_full:
            self._taken.clear()
            await self._taken.wait()

    def drop_audio(self) -> None:
        """Take back the audio that no transport has taken yet: it would be heard after an interruption."""
        waiting = [self._events.get_nowait() for _ in range(self._events.qsize())]
        for event in waiting:
            if not isinstance(event, ReplyAudio):
                self._events.put_nowait(event)
        self._audio_s = 0.0
        self._taken.set()
