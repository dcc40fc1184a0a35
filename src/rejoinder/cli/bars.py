"""How far long work is, on stderr: bars with the time left for a person who watches, a line a task for a log."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bars:
    """An `progress.Progress` to be used with `with`; one bar for each task, in the order they begin."""

    def __init__(self) -> None:
        self._rich: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._started_s: dict[str, float] = {}

    def __enter__(self) -> "Bars":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._rich = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(elapsed_when_finished=True),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )
            self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich is not None:
            self._rich.stop()

    def __call__(self, task: str, n_done: int, n_total: int, note: str = "") -> None:
        """Show that `n_done` of `n_total` steps of `task` are done."""
        if self._rich is not None:
            if task not in self._tasks:
                self._tasks[task] = self._rich.add_task(task, total=n_total, note=note)
            self._rich.update(self._tasks[task], completed=n_done, total=n_total, note=note)
            return
        self._started_s.setdefault(task, time.monotonic())
        if n_done >= n_total:
            took_s = time.monotonic() - self._started_s.pop(task)  # a task may come again
            click.echo(f"{task}: {n_total} in {took_s:.0f} s  {note}".rstrip(), err=True)
