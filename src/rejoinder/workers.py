"""Bounded threads for inference: the event loop never computes, and callers share the cores fairly."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class Workers:
    """A fixed number of threads that all sessions share.

    One thread a core by default: each model call uses one (`intra_op_num_threads=1`), so that more callers cost more
    waiting rather than more context switches.
    """

    def __init__(self, n_threads: int | None = None) -> None:
        self.n_threads = n_threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self.n_threads, thread_name_prefix="rejoinder")
        self._n_under_way = 0

    @property
    def busy(self) -> bool:
        """Whether new work would have to wait: the moment to leave out what is only nice to have, such as partials."""
        return self._n_under_way >= self.n_threads

    async def run(self, call: Callable[[], Result], *, timeout_s: float) -> Result:
        """Run `call` on a thread; raises `TimeoutError` when it takes too long (its thread still finishes it)."""
        self._n_under_way += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, call)
        future.add_done_callback(self._finished)
        return await asyncio.wait_for(asyncio.shield(future), timeout_s)

    def _finished(self, future: "asyncio.Future[Result]") -> None:
        self._n_under_way -= 1
        if not future.cancelled():
            future.exception()  # seen here, so that an abandoned call does not warn when it is collected

    def close(self) -> None:
        """Let the threads end; work that has not begun is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
