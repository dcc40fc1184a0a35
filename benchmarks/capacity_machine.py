"""Cores, threads and what waits for them, simulated by events.

The threads take work as `rejoinder.workers` has it: what is wanted soonest first, and one thread kept free of what can
wait. All that runs shares the cores evenly, as under a fair operating system.
"""

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from rejoinder.workers import PATIENT_S

LEAST_S = 1e-9
"""Work smaller than this is done: time is added up in floating point."""


@dataclass(slots=True, eq=False)
class Work:
    """Steps that one thread does without a break; what follows a step is told when it is done."""

    steps: Sequence[tuple[float, Callable[[], bool]]]
    """Processor seconds, and what follows: whether the rest is still wanted."""
    wanted_at: float
    patient: bool
    n_done: int = 0


class Machine:
    """Cores, threads and a clock. Timers and the ends of work are called in their order."""

    def __init__(self, n_threads: int, *, n_cores: float | None = None, loop: float = 0.0, serial: float = 0.0) -> None:
        """`loop` of the `n_cores` cores (as many as threads by default) is taken by the event loop.

        `serial` of the work holds a lock that one thread at a time can have, and that the event loop has in its share.
        """
        self.now_s = 0.0
        self.busy_s = 0.0
        """Processor time that the threads have used."""
        self._n_threads = n_threads
        self._n_patient_most = max(1, n_threads - 1)
        self._cores = max(0.01, (n_threads if n_cores is None else n_cores) - loop)
        self._paces = _paces(n_threads, self._cores, serial / max(0.01, 1.0 - loop), 1.0 - serial)
        self._done = 0.0  # seconds of work that each of the running pieces would have done by now
        self._running: list[tuple[float, int, Work]] = []
        self._n_patient = 0
        self._waiting: tuple[list[tuple[float, int, Work]], list[tuple[float, int, Work]]] = ([], [])
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    @property
    def busy(self) -> bool:
        """As `Workers.busy`: whether work that can wait would have to."""
        return len(self._running) + sum(map(len, self._waiting)) >= self._n_patient_most

    def at(self, when_s: float, then: Callable[[], None]) -> None:
        """Call at a time."""
        heapq.heappush(self._timers, (max(when_s, self.now_s), next(self._order), then))

    def do(self, *steps: tuple[float, Callable[[], bool]], wanted_in_s: float) -> None:
        """Have threads do this."""
        patient = wanted_in_s >= PATIENT_S
        work = Work(steps, self.now_s + wanted_in_s, patient)
        heapq.heappush(self._waiting[patient], (work.wanted_at, next(self._order), work))
        self._take()

    def run(self, until_s: float) -> None:
        """Let time pass."""
        while True:
            pace = self._paces[len(self._running)]
            ends_s = self.now_s + max(0.0, self._running[0][0] - self._done) / pace if self._running else math.inf
            rings_s = self._timers[0][0] if self._timers else math.inf
            next_s = min(ends_s, rings_s, until_s)
            self._done += (next_s - self.now_s) * pace
            self.busy_s += (next_s - self.now_s) * pace * len(self._running)
            self.now_s = next_s
            if next_s >= until_s:
                return
            if ends_s <= rings_s:
                self._end(heapq.heappop(self._running)[2])
            else:
                heapq.heappop(self._timers)[2]()

    def _end(self, work: Work) -> None:
        """A step is done: the thread goes on with the next, or takes other work."""
        _, then = work.steps[work.n_done]
        work.n_done += 1
        if then() and work.n_done < len(work.steps):
            self._begin(work)
            return
        self._n_patient -= work.patient
        self._take()

    def _take(self) -> None:
        """Threads that are free take what is wanted soonest, of what they may."""
        while len(self._running) < self._n_threads:
            may = [queue for queue in self._waiting[: 1 + (self._n_patient < self._n_patient_most)] if queue]
            if not may:
                return
            work = heapq.heappop(min(may, key=lambda queue: queue[0][:2]))[2]
            self._n_patient += work.patient
            self._begin(work)

    def _begin(self, work: Work) -> None:
        ends = self._done + max(LEAST_S, work.steps[work.n_done][0])
        heapq.heappush(self._running, (ends, next(self._order), work))


def _paces(n_threads: int, n_cores: float, locked_s: float, free_s: float) -> list[float]:
    """Seconds of work that each of so many running pieces gets done in a second, from none to all threads.

    Cores are shared evenly. The lock is a queue that each piece visits, as mean value analysis of a closed network has
    it: with no other the visits take `locked_s` of each second of work, with others as much longer as they queue.
    """
    paces, queued = [1.0], 0.0
    for n in range(1, n_threads + 1):
        visit_s = locked_s * (1.0 + queued)
        pace = 1.0 / (free_s + visit_s)
        queued = n * pace * visit_s
        paces.append(min(pace, 1.0, n_cores / n))
    return paces
