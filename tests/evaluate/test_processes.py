"""Tasks on several processes: every one has its result, whatever happens to the process that is at it."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from rejoinder.errors import AudioError, ModelError, RejoinderError
from rejoinder.evaluate.processes import MOST_DEATHS, Failure, n_cores, spread
from rejoinder.progress import Progress


@dataclass
class Works:
    """What the tests have the processes do: a task is a word."""

    n_done: int = 0

    def __call__(self, task: str, progress: Progress) -> str:
        self.n_done += 1
        match task:
            case "unreadable":
                raise AudioError("1.wav: no such file")
            case "odd":
                raise ZeroDivisionError("by zero")
            case "no model":
                raise ModelError("the model is missing")
            case _ if task.startswith("killed"):
                os.kill(os.getpid(), signal.SIGKILL)
            case "leaves":
                os._exit(3)
            case "told":
                progress("telling", 1, 2, "half")
            case "environment":
                return os.environ["OMP_NUM_THREADS"]
            case "count":
                return str(self.n_done)
            case "interrupted":
                os.kill(os.getpid(), signal.SIGINT)
        return task.upper()


def results(tasks: Sequence[str], n_processes: int = 1) -> dict[str, str | Failure]:
    return dict(spread(Works(), tasks, n_processes=n_processes))


def test_every_task_is_done_once_by_any_number_of_processes() -> None:
    tasks = [f"task {n}" for n in range(7)]
    assert results(tasks, 2) == {task: task.upper() for task in tasks}
    assert results([]) == {}


def test_a_process_keeps_what_it_has_loaded() -> None:
    assert [said for _, said in spread(Works(), ["count"] * 3, n_processes=1)] == ["1", "2", "3"]


def test_what_goes_wrong_is_the_result_of_its_task_alone() -> None:
    found = results(["unreadable", "odd", "killed", "leaves", "interrupted", "fine"])
    assert found == {
        "unreadable": Failure("1.wav: no such file"),
        "odd": Failure("ZeroDivisionError: by zero"),
        "killed": Failure("the process that was at it died (signal 9)"),
        "leaves": Failure("the process that was at it died (exit code 3)"),
        "interrupted": "INTERRUPTED",
        "fine": "FINE",
    }


def test_what_every_task_would_run_into_ends_all() -> None:
    with pytest.raises(ModelError, match="the model is missing"):
        results(["fine", "no model", "fine too"])


def test_processes_that_die_one_after_the_other() -> None:
    with pytest.raises(RejoinderError, match="3 processes died one after the other"):
        results([f"killed {n}" for n in range(MOST_DEATHS + 1)])


def test_progress_comes_across() -> None:
    told: list[tuple[object, ...]] = []
    list(spread(Works(), ["told"], n_processes=1, progress=lambda *what: told.append(what)))
    assert told == [("telling", 1, 2, "half")]


def test_numbers_are_crunched_on_one_thread_and_only_there() -> None:
    before = dict(os.environ)
    assert results(["environment"])["environment"] == os.environ.get("OMP_NUM_THREADS", "1")
    assert dict(os.environ) == before


def test_nobody_is_left_behind_when_nobody_wants_the_rest() -> None:
    import multiprocessing

    going_on = spread(Works(), ["fine", "fine too"], n_processes=1)
    next(going_on)
    assert multiprocessing.active_children()
    going_on.close()
    until = time.monotonic() + 5
    while multiprocessing.active_children() and time.monotonic() < until:
        time.sleep(0.01)
    assert not multiprocessing.active_children()


def test_cores() -> None:
    assert 1 <= n_cores() <= (os.cpu_count() or 1)
