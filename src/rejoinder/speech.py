"""The audio of one reply, made clause by clause as it is asked for; the first clause may be made ahead, in a draft."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

from rejoinder.events import Samples

Runner: TypeAlias = Callable[[Callable[[], Samples | None]], Awaitable[Samples | None]]
"""Runs a blocking call on a thread."""


class Speech:
    """A queue of at most one clause in waiting: synthesis runs one ahead of what is taken, and no further."""

    def __init__(self, pieces: Iterator[Samples], run: Runner) -> None:
        self._pieces = pieces
        self._run = run
        self._waiting: deque[Samples] = deque()
        self._order = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether the next clause is there."""
        return bool(self._waiting)

    async def prepare(self) -> None:
        """Have the next clause ready."""
        async with self._order:
            if not self._waiting:
                piece = await self._run(lambda: next(self._pieces, None))
                if piece is not None:
                    self._waiting.append(piece)

    async def take(self) -> Samples | None:
        """The next clause's audio, float32 of shape (n_samples,), or None at the end."""
        if not self._waiting:
            await self.prepare()
        return self._waiting.popleft() if self._waiting else None
