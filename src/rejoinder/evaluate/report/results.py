"""A run's folder, read whole: what every section of a report is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rejoinder.evaluate.attribution import attribute
from rejoinder.evaluate.records import BASE, PLAYED, SPOKEN, TURNS, Played, Run, Spoken, Turn, read, read_run
from rejoinder.evaluate.report import figures
from rejoinder.evaluate.scores import Difference, Scores
from rejoinder.evaluate.scoring import read_scores
from rejoinder.evaluate.thresholds import usual_system

N_COLOURS = 6
"""Of systems, in the style sheet; the first is the grey of what others are compared with."""


@dataclass(frozen=True)
class Results:
    """One run: what was run, what happened, and the figures."""

    folder: Path
    run: Run
    scores: Scores
    turns: tuple[Turn, ...]
    spoken: tuple[Spoken, ...]
    played: tuple[Played, ...]
    main: str | None
    """The system that callers would meet: headlines are about it."""
    against: Mapping[str, str]
    """What each system is compared with, but for those that others are compared with."""

    @classmethod
    def load(cls, folder: Path) -> "Results":
        """Read a run's folder, in which only `run.json` and `scores.json` must be.

        Raises `RejoinderError` where they are not, or cannot be read.
        """
        run, scores = read_run(folder), read_scores(folder)
        systems = figures.systems_of(run, scores)
        base = BASE if BASE in systems else next(iter(systems), "")
        return cls(
            folder,
            run,
            scores,
            attribute(read(folder, TURNS, Turn)),
            tuple(read(folder, SPOKEN, Spoken)),
            tuple(read(folder, PLAYED, Played)),
            main=usual_system(systems) if systems else None,
            against={system: base for system in systems if system != base},
        )

    @cached_property
    def systems(self) -> tuple[str, ...]:
        """Those with figures, in the run's order."""
        return figures.systems_of(self.run, self.scores)

    @cached_property
    def conditions(self) -> tuple[str, ...]:
        """Those with figures; the first one is the one headlines are about."""
        return figures.conditions_of(self.run, self.scores)

    @cached_property
    def marks(self) -> Mapping[str, "Mark"]:
        """How each system is drawn in every chart."""
        bases = set(self.against.values())
        first = next((name for name in self.systems if name in bases), None)
        others = [name for name in self.systems if name != first]
        marks = {name: Mark(f"s{n % (N_COLOURS - 1) + 1}", n + 1) for n, name in enumerate(others)}
        return {name: marks.get(name, Mark("s0", 0)) for name in self.systems}

    def place(self, where: str, system: str) -> str:
        """Where a figure belongs, the system named only beside others."""
        return f"{where} · {system}" if len(self.systems) > 1 else where

    def change(self, measure: str, condition: str, system: str) -> Difference | None:
        """How far a system is from what it is compared with, where the run has worked that out."""
        against = self.against.get(system)
        for one in self.scores.differences:
            if (one.measure, one.condition, one.system, one.against) == (measure, condition, system, against):
                return one
        return None


@dataclass(frozen=True, slots=True)
class Mark:
    """A colour of the style sheet, and a shape for those who do not tell colours apart."""

    colour: str
    shape: int
