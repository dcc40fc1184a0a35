"""How long work says how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Called as work goes on, often: whoever shows it decides how much of it."""

    def __call__(self, task: str, n_done: int, n_total: int, note: str = "") -> None:
        """`n_done` of `n_total` steps of `task` ("synthesizing") are done; `note` is what a person may want to know."""
        ...


def silent(task: str, n_done: int, n_total: int, note: str = "") -> None:
    """Show nothing."""
