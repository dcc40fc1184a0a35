"""Bounded threads for inference: the event loop never computes, and callers share the cores fairly."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

N_WAITING_THREADS = 32
"""Calls of actions and language models that may wait for other machines at the same time."""


class Workers:
    """A fixed number of threads that all sessions share.

    One thread a core by default: each model call uses one (`intra_op_num_threads=1`), so that more callers cost more
    waiting rather than more context switches. What waits for others has threads of its own: a slow webhook must not
    keep a caller from being heard.
    """

    def __init__(self, n_threads: int | None = None) -> None:
        self.n_threads = n_threads or os.cpu_count() or 1
        self._computing = ThreadPoolExecutor(self.n_threads, thread_name_prefix="rejoinder")
        self._waiting = ThreadPoolExecutor(N_WAITING_THREADS, thread_name_prefix="rejoinder-waiting")
        self._n_under_way = 0

    @property
    def busy(self) -> bool:
        """Whether new work would have to wait: the moment to leave out what is only nice to have, such as partials."""
        return self._n_under_way >= self.n_threads

    async def run(self, call: Callable[[], Result], *, timeout_s: float, waits: bool = False) -> Result:
        """Run `call` on a thread; `waits` says that it waits rather than computes.

        Raises `TimeoutError` when it takes too long. A call that has begun then goes on, one that has not never does.
        """
        job = (self._waiting if waits else self._computing).submit(call)
        future = asyncio.wrap_future(job)
        future.add_done_callback(_seen)
        if not waits:
            self._n_under_way += 1
            future.add_done_callback(self._finished)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(future)
        except (TimeoutError, asyncio.CancelledError):
            job.cancel()
            raise

    def _finished(self, _: "asyncio.Future[Result]") -> None:
        self._n_under_way -= 1

    def close(self) -> None:
        """Let the threads end; work that has not begun is dropped."""
        self._computing.shutdown(wait=False, cancel_futures=True)
        self._waiting.shutdown(wait=False, cancel_futures=True)


def _seen(future: "asyncio.Future[Result]") -> None:
    """Look at a call's error, so that one which nobody waits for any more does not warn when it is collected."""
    if not future.cancelled():
        future.exception()
