"""Which settings of a recipe to search, and how tries are scored: on what is held out of training, never the test.

Who tries them is another matter (`adapt.cluster.tuning`). A stage that can be searched has `Searchable`'s two methods.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from rejoinder.build import Stage

SEARCHED = (Stage.ASR, Stage.NLU)
"""The stages that are `Searchable`."""

HELD_OUT_SHARE = 0.15
"""Of what is learned from: a try is scored on it."""


@dataclass(frozen=True, slots=True)
class Between:
    """A number between two, drawn so that each of its digits is as likely (log-uniform)."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Among:
    """One of some values."""

    values: tuple[float, ...]


Choices: TypeAlias = Mapping[str, Between | Among]
"""What a setting of a recipe may be, by its name (see `settings.with_settings`)."""

Try: TypeAlias = Callable[[Mapping[str, str], Path], float]
"""Trains with some settings in an empty folder; the score, less is better. It can be pickled."""


@runtime_checkable
class Searchable(Protocol):
    """An adaptation whose settings can be searched."""

    @property
    def choices(self) -> Choices:
        """The settings that matter most, and what they may be."""
        ...

    def attempt(self) -> Try:
        """How a try is scored; `gather` comes first."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found."""

    settings: Mapping[str, str]
    score: float
    """Of these settings on what was held out; less is better."""
    score_before: float
    """Of those that the search began with, which are tried first."""
    n_tries: int

    def describe(self) -> dict[str, Any]:
        """As a card records it."""
        return {
            "n_tries": self.n_tries,
            "settings": dict(self.settings),
            "held out": {"before": self.score_before, "after": self.score},
        }


def current(recipe: Mapping[str, Any], names: Iterable[str]) -> dict[str, float]:
    """What settings are in a recipe as `Adaptation.recipe` gives it, those that it has."""
    found: dict[str, float] = {}
    for name, value in recipe.items():
        if isinstance(value, Mapping):
            found |= current(value, names)
        elif name in set(names) and isinstance(value, int | float):
            found[name] = value
    return found
