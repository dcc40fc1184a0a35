"""Work on all cores: tasks handed to processes one at a time, and what came of each as soon as it is there.

Threads would share Python's lock, which half of a turn's work holds. What a task raises, or a process that dies over
it, is the result of that task; the others go on.
"""

import logging
import os
import signal
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Protocol, TypeVar

from rejoinder.errors import DomainError, ModelError, RejoinderError
from rejoinder.progress import Progress, silent

Task_contra = TypeVar("Task_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)
Task = TypeVar("Task")
Result = TypeVar("Result")

MOST_DEATHS = 3
"""So many processes that die one after the other, without any result between, are no accident."""

_END_S = 5.0
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Work(Protocol[Task_contra, Result_co]):
    """What the processes do. Each gets a copy of its own by pickling, before the first task."""

    def __call__(self, task: Task_contra, progress: Progress) -> Result_co:
        """Do one task. `DomainError` and `ModelError` end everything, for the next task would raise them, too."""
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no result."""

    message: str


def n_cores() -> int:
    """Cores that this process may use."""
    with suppress(AttributeError):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def spread(
    work: Work[Task, Result], tasks: Sequence[Task], *, n_processes: int | None = None, progress: Progress = silent
) -> Generator[tuple[Task, Result | Failure], None, None]:
    """Each task with its result, in the order in which they are done; begun in the order in which they are given.

    `n_processes` is one a core by default. Ends the processes when the iterator is closed. Raises `DomainError` or
    `ModelError` as the work does, and `RejoinderError` when processes die again and again.
    """
    waiting = deque(tasks)
    n_deaths = 0
    busy: list[_Process[Task]] = []
    try:
        while waiting or busy:
            while waiting and len(busy) < (n_processes or n_cores()):
                busy.append(_Process(work, waiting.popleft()))
            process = _first_to_speak(busy)
            try:
                kind, said = process.connection.recv()
            except (EOFError, OSError):
                busy.remove(process)
                n_deaths, died = n_deaths + 1, process.end()
                if n_deaths >= MOST_DEATHS:
                    raise RejoinderError(f"{n_deaths} processes died one after the other ({died})") from None
                yield process.task, Failure(f"the process that was at it died ({died})")
                continue
            if kind == "progress":
                progress(*said)
                continue
            if kind == "fatal":
                raise said
            n_deaths, done = 0, process.task
            if waiting:
                process.give(waiting.popleft())
            else:
                busy.remove(process)
                process.end()
            yield done, said
    finally:
        for process in busy:
            process.end(at_once=True)


def _first_to_speak(processes: "Sequence[_Process[Task]]") -> "_Process[Task]":
    """The process that has said something, or has died; waits until there is one."""
    ready = wait([one.connection for one in processes])
    return next(one for one in processes if one.connection in ready)


class _Process(Generic[Task]):
    """A process and the task that it is at."""

    def __init__(self, work: Any, task: Task) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        with _environment(_ONE_THREAD):  # numpy reads it when it is imported
            self._process.start()
        theirs.close()
        self.give(task)

    def give(self, task: Task) -> None:
        self.task = task
        with suppress(OSError):  # a process that is dead already is noticed when it should answer
            self.connection.send(task)

    def end(self, *, at_once: bool = False) -> str:
        """Let it end, or make it; says how it did."""
        self.connection.close()
        if at_once:
            self._process.terminate()
        self._process.join(_END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        code = self._process.exitcode or 0
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def _serve(connection: Connection, work: Work[Any, Any]) -> None:
    """What a process does until nobody gives it tasks any more."""
    logging.getLogger("rejoinder").addHandler(logging.NullHandler())  # or its warnings would cross the bars
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of them; the one that gives tasks sees to it

    def progress(task: str, n_done: int, n_total: int, note: str = "") -> None:
        connection.send(("progress", (task, n_done, n_total, note)))

    with suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            try:
                said: tuple[str, object] = "done", work(task, progress)
            except (DomainError, ModelError) as error:
                said = "fatal", error
            except RejoinderError as error:
                said = "done", Failure(str(error))
            except Exception as error:  # whatever a recording does to a model
                said = "done", Failure(f"{type(error).__name__}: {error}")
            connection.send(said)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables that are not set, for as long as it takes to start a process."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
