"""Bounded threads for inference: the event loop never computes, and what is wanted soonest is done first."""

import asyncio
import atexit
import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

Result = TypeVar("Result")

N_WAITING_THREADS = 32
"""Calls of actions and language models that may wait for other machines at the same time."""

PATIENT_S = 0.5
"""Work that is wanted no sooner leaves a thread free for what is: no model call can be broken off."""

QUIET = 0.3
"""What is only nice to have is left out where the threads were busy for more than this share of the time lately: one
caller, looked ahead for half of the time, takes a quarter of two threads."""

LATELY_S = 1.0
"""Time constant of "lately"."""

TOLERATED_S = 2.0
"""By how much a caller's audio may be ahead of the clock: networks deliver late and then all at once."""

FASTEST = 20
"""Audio that is further ahead is taken at this many times its pace, for listening alone takes time, too."""

MOST_UNDER_WAY = 4
"""Pieces of work that a caller may have under way whose audio is ahead of the clock."""

AT_EXIT_S = 5.0
"""How long the process waits for calls under way when it ends: a model that comes back to no interpreter aborts it."""

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Job:
    """One call on its way."""

    call: Callable[[], Any]
    wanted_at: float
    patient: bool
    future: "Future[Any]" = field(default_factory=Future)
    began_at: float = math.inf
    watch: asyncio.TimerHandle | None = None
    """Looks whether it hangs."""

    def forget(self, _: object) -> None:
        """It is done."""
        if self.watch is not None:
            self.watch.cancel()


class Workers:
    """A fixed number of threads that all sessions share.

    One thread a core by default: each model call uses one (`intra_op_num_threads=1`), so that more callers cost more
    waiting rather than more context switches. What waits for others has threads of its own: a slow webhook must not
    keep a caller from being heard.
    """

    def __init__(self, n_threads: int | None = None) -> None:
        self.n_threads = n_threads or os.cpu_count() or 1
        self._n_patient_most = max(1, self.n_threads - 1)
        self._changed = threading.Condition()  # guards all that follows
        self._jobs: list[_Job] = []
        self._running: set[_Job] = set()
        self._share = 0.0
        self._share_at = time.perf_counter()
        self._n_threads = 0
        self._threads: set[threading.Thread] = set()
        """All that run, those of hung calls among them."""
        self._closed = False
        _open.add(self)
        self._waiting = ThreadPoolExecutor(N_WAITING_THREADS, thread_name_prefix="rejoinder-waiting")

    @property
    def busy(self) -> bool:
        """Whether patient work would have to wait, or others soon for it: when to leave out what is only nice to have.

        A moment's quiet is not enough: no call can be broken off, and on a busy machine the next turn ends soon.
        """
        with self._changed:
            self._measure()
            return len(self._running) + len(self._jobs) >= self._n_patient_most or self._share > QUIET

    def _measure(self) -> None:
        """Bring the share of the time up to date in which the threads were busy; before each change of it."""
        now = time.perf_counter()
        kept = math.exp((self._share_at - now) / LATELY_S)
        self._share = kept * self._share + (1.0 - kept) * len(self._running) / self.n_threads
        self._share_at = now

    async def run(
        self, call: Callable[[], Result], *, timeout_s: float, wanted_in_s: float = 1.0, waits: bool = False
    ) -> Result:
        """Run `call` on a thread; `waits` says that it waits rather than computes.

        `wanted_in_s` is how soon the result is wanted, and so what is done first: 0 when a caller waits for it.
        Raises `TimeoutError` when it takes too long. A call that has begun then goes on, one that has not never does.
        """
        job = None if waits else self._put(call, wanted_in_s)
        future: Future[Result] = self._waiting.submit(call) if job is None else job.future
        waited_for = asyncio.wrap_future(future)
        waited_for.add_done_callback(_seen)
        if job is not None:
            self._mind(job, timeout_s)
            waited_for.add_done_callback(job.forget)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(waited_for)
        except (TimeoutError, asyncio.CancelledError):
            future.cancel()
            raise

    async def run_steps(
        self, steps: Iterator[Result], take: Callable[[Result], bool], *, timeout_s: float, wanted_in_s: float = 1.0
    ) -> None:
        """Run an iterator to its end on one thread, which no other work takes between its steps.

        `take` is called on the event loop with each step's result, as soon as there is one, and says whether the rest
        is still wanted; a step that has begun goes on. Raises what a step raises, and `TimeoutError` as `run` does.
        """
        loop, wanted = asyncio.get_running_loop(), True

        def deliver(result: Result) -> None:
            nonlocal wanted
            wanted = wanted and take(result)

        def work() -> None:
            for result in steps:
                loop.call_soon_threadsafe(deliver, result)
                if not wanted:
                    return

        try:
            await self.run(work, timeout_s=timeout_s, wanted_in_s=wanted_in_s)
        finally:
            wanted = False

    def close(self) -> None:
        """Let the threads end; work that has not begun is dropped."""
        with self._changed:
            self._closed = True
            dropped, self._jobs = self._jobs, []
            self._changed.notify_all()
        for job in dropped:
            job.future.cancel()
        self._waiting.shutdown(wait=False, cancel_futures=True)

    def join(self, timeout_s: float) -> bool:
        """Wait until the threads have ended, after `close`; False when some are still at work after so long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._threads, timeout_s)

    def _put(self, call: Callable[[], Any], wanted_in_s: float) -> _Job:
        job = _Job(call, time.perf_counter() + wanted_in_s, patient=wanted_in_s >= PATIENT_S)
        with self._changed:
            if self._closed:
                raise RuntimeError("the workers are closed")
            self._jobs.append(job)
            if self._n_threads < self.n_threads:
                self._start()
            self._changed.notify()
        return job

    def _start(self) -> None:
        self._n_threads += 1
        # A daemon: a call that hangs must not keep the process from ending.
        thread = threading.Thread(target=self._work, name=f"rejoinder-{self._n_threads}", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _mind(self, job: _Job, timeout_s: float) -> None:
        """Put another thread in place of one whose call takes longer than this, whether or not one waits for it.

        That thread ends with its call, should that ever end.
        """
        left_s = timeout_s - max(0.0, time.perf_counter() - job.began_at)
        if left_s > 0:
            job.watch = asyncio.get_running_loop().call_later(left_s, self._mind, job, timeout_s)
            return
        with self._changed:
            if job not in self._running or self._closed:
                return
            self._measure()
            self._running.remove(job)
            self._n_threads -= 1
            self._start()
        logger.error("a call hangs: its thread is replaced")

    def _work(self) -> None:
        """Do what is wanted soonest, until closed or replaced."""
        try:
            self._work_off()
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())
                self._changed.notify_all()

    def _work_off(self) -> None:
        while (job := self._take()) is not None:
            result, failure = None, None
            try:
                result = job.call()
            except BaseException as error:
                failure = error
            with self._changed:
                self._measure()
                replaced = job not in self._running
                self._running.discard(job)
                self._changed.notify()  # patient work may have waited for this to leave its thread
            if failure is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(failure)
            if replaced:
                return
            del job, result, failure  # a thread that waits keeps nothing alive

    def _take(self) -> _Job | None:
        """Wait for work that may be done now; None when there will be no more."""
        with self._changed:
            while not self._closed:
                n_patient = sum(job.patient for job in self._running)
                may = [job for job in self._jobs if not job.patient or n_patient < self._n_patient_most]
                if not may:
                    self._changed.wait()
                    continue
                job = min(may, key=lambda job: job.wanted_at)
                self._jobs.remove(job)
                if job.future.set_running_or_notify_cancel():
                    self._measure()
                    job.began_at = time.perf_counter()
                    self._running.add(job)
                    return job
            return None


class Pace:
    """The pace of one caller's audio: what comes faster than it can be spoken goes after what live callers wait for."""

    def __init__(self) -> None:
        self._began_at = time.perf_counter()

    def ahead_s(self, heard_s: float) -> float:
        """By how much `heard_s` seconds of audio are more than could have been spoken."""
        return max(0.0, heard_s - TOLERATED_S - (time.perf_counter() - self._began_at))

    async def keep(self, heard_s: float, length_s: float, under_way: Set["asyncio.Task[None]"]) -> None:
        """Let others have the event loop; with audio ahead of the clock, wait for the work that it makes."""
        await asyncio.sleep(length_s / FASTEST if self.ahead_s(heard_s) else 0)
        while len(under_way) > MOST_UNDER_WAY and self.ahead_s(heard_s):
            await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)


_open: "weakref.WeakSet[Workers]" = weakref.WeakSet()


@atexit.register
def _end() -> None:
    """Let no thread come back from a model into an interpreter that is gone: that aborts the process."""
    until = time.monotonic() + AT_EXIT_S
    for workers in list(_open):
        workers.close()
        workers.join(max(0.0, until - time.monotonic()))


def _seen(future: "asyncio.Future[Result]") -> None:
    """Look at a call's error, so that one which nobody waits for any more does not warn when it is collected."""
    if not future.cancelled():
        future.exception()
