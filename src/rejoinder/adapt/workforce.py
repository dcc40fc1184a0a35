"""Who does what is the same for many sentences or recordings, and who trains: this process, or many of a cluster.

A stage says what is done to one item (`Work`), and a `Workforce` does it to all of them. Whoever that is, the results
are the same and come in the items' order: nothing that is random may depend on who does an item, or when.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

from rejoinder.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")
Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)

Crew: TypeAlias = Callable[[Sequence[Item]], Iterator[Result]]
"""Does all items; the results come in their order, each as soon as it and those before it are done."""


class Training(Protocol):
    """What trains a model; it can be pickled, for another process may be the one that calls it."""

    def __call__(self, *, folder: Path, progress: Progress) -> Path:
        """As `Adaptation.train`. All of a team (`trainer.Team`) call it with the same folder: only the first writes."""
        ...


class Work(Protocol[Item_contra, Result_co]):
    """What is done to one item. It can be pickled, as can items and results: other processes may do it."""

    @property
    def side_by_side(self) -> bool:
        """Whether one process gains from doing several items at the same time."""
        ...

    def opened(self) -> AbstractContextManager[Callable[[Item_contra], Result_co]]:
        """Open the models that it takes, once in each process that does it."""
        ...


class Workforce(Protocol):
    """Some processes, on this machine or on others."""

    def crew(self, work: Work[Item, Result]) -> AbstractContextManager[Crew[Item, Result]]:
        """Those who do this work. Raises what `work` raises."""
        ...

    def train(self, training: Training, folder: Path, progress: Progress, *, alone: bool = False) -> Path:
        """Have a model trained; returns what `training` returns, and raises what it raises.

        `alone` keeps it to one process: a training that is no single call of `trainer.train` cannot be shared.
        """
        ...


class ThisProcess:
    """The workforce of a single machine: nobody else."""

    @contextmanager
    def crew(self, work: Work[Item, Result]) -> Iterator[Crew[Item, Result]]:
        """See `Workforce`."""
        with work.opened() as do:
            # A model call lets other threads run, so one thread a core keeps them all busy.
            yield partial(do_all, do, n_threads=os.cpu_count() or 1 if work.side_by_side else 1)

    def train(self, training: Training, folder: Path, progress: Progress, *, alone: bool = False) -> Path:  # noqa: ARG002
        """See `Workforce`."""
        return training(folder=folder, progress=progress)


THIS_PROCESS = ThisProcess()


def do_all(do: Callable[[Item], Result], items: Sequence[Item], *, n_threads: int) -> Iterator[Result]:
    """Do all items with so many threads; the results come in order."""
    if n_threads == 1:
        yield from map(do, items)
        return
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="rejoinder-work")
    try:
        yield from pool.map(do, items)
    finally:
        pool.shutdown(cancel_futures=True)
