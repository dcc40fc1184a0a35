"""The gate: an adapted model is promoted when it is better on the domain and hardly worse elsewhere, else kept aside.

Pure: measures in, a verdict with its reason in words out. Each measure has a bound (`BOUNDS`): the first of a stage
must get better, each other one may get worse by so much at most, and some have a limit that holds whatever was before.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rejoinder.build import Stage

NUMBERS = frozenset({"similarity", "pace", "pitch_hz", "harmonics_db"})
"""Measures that are plain numbers; all others are shares, shown as percentages, their differences in points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a measure has to be for a model to be promoted."""

    name: str
    """As it stands in a card: "canary_wer"."""
    label: str
    """In words: "word errors on general speech"."""
    worse_by: float | None = None
    """The most that it may get worse; None: it must get better."""
    limit: float | None = None
    """What it may not be worse than, whatever it was before."""
    more_is_better: bool = False

    @property
    def is_share(self) -> bool:
        """Whether it is shown as a percentage; "wer phone" is shown as "wer" is."""
        return self.name.partition(" ")[0] not in NUMBERS

    def gain(self, before: float, after: float) -> float:
        """By how much the measure got better; negative when it got worse."""
        return after - before if self.more_is_better else before - after

    def describe(self) -> str:
        """The bound in words: "at most 0.5 points worse"."""
        demand = "better" if self.worse_by is None else f"at most {self.show_difference(self.worse_by)} worse"
        if self.limit is None:
            return demand
        return f"{demand}, {'at least' if self.more_is_better else 'at most'} {self.show(self.limit)}"

    def show(self, value: float) -> str:
        """The measure as people read it: "1.3%"."""
        return f"{100 * value:.1f}%" if self.is_share else f"{value:.3g}"

    def show_difference(self, value: float) -> str:
        """A difference as people read it: "0.5 points"."""
        if not self.is_share:
            return f"{abs(value):.3g}"
        points = f"{100 * abs(value):.2g}"
        return f"{points} point" if points == "1" else f"{points} points"


DOMAIN_ERROR = "domain_error"

_ROUNDING = 1e-9  # a difference that floats make of equal counts is none

BOUNDS: Mapping[Stage, tuple[Bound, ...]] = {
    Stage.ASR: (
        Bound(name=DOMAIN_ERROR, label="errors on the domain"),
        Bound(name="canary_wer", label="word errors on general speech", worse_by=0.005),
        Bound(name="false_alarms", label="terms heard that nobody said", worse_by=0.01),
    ),
    Stage.NLU: (
        Bound(name=DOMAIN_ERROR, label="sentences of the domain misunderstood"),
        Bound(name="false_alarms", label="sentences of no intent taken for one", worse_by=0.02),
    ),
    Stage.READER: (
        Bound(name=DOMAIN_ERROR, label="words of the answers wrong (1 - F1)"),
        Bound(name="missed", label="questions whose answer is not in what is spoken", worse_by=0.02),
        Bound(name="false_alarms", label="questions without an answer that got one", worse_by=0.02),
    ),
    Stage.VOICE: (
        Bound(name="similarity", label="likeness to the speaker", more_is_better=True, limit=0.80),
        Bound(name="wer", label="words misheard when it speaks", worse_by=0.05),
    ),
}
"""Each stage's measures and their default bounds, that which must get better first.

Half a point of WER is what Moonshine's own LoRA on air-traffic speech cost its canary. A false alarm is a sentence
without any of the domain's terms in which one is heard: one more in a hundred is bearable, two make a term a nuisance.
A voice that is copied loses intelligibility; five points of WER at the same speaking rate are hardly noticed.
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says."""

    promoted: bool
    reason: str
    """In words, with the figures that decided."""


def decide(before: Mapping[str, float], after: Mapping[str, float], bounds: Sequence[Bound]) -> Verdict:
    """Promote, or keep aside and say why: every bound that does not hold is named.

    `before` and `after` hold measures by the names of `bounds`; others are ignored. The two come from the same sets. A
    measure that is missing, or not a number, keeps the model aside: nothing is promoted unmeasured.
    """
    held, broken = [], []
    for bound in bounds:
        was, now = before.get(bound.name, math.nan), after.get(bound.name, math.nan)
        if not (math.isfinite(was) and math.isfinite(now)):
            broken.append(f"{bound.label}: not measured")
            continue
        problem = _problem(bound, was, now)
        change = f"{bound.label}: {bound.show(was)} → {bound.show(now)}"
        if problem:
            broken.append(f"{change}, {problem}")
        else:
            held.append(change)
    return Verdict(not broken, "; ".join(broken or held))


def _problem(bound: Bound, was: float, now: float) -> str | None:
    """Why a bound does not hold."""
    gain = bound.gain(was, now)
    if bound.limit is not None and bound.gain(bound.limit, now) < -_ROUNDING:
        return f"which is beyond the limit of {bound.show(bound.limit)}"
    if bound.worse_by is None:
        if gain > _ROUNDING:
            return None
        return "no better than before" if gain > -_ROUNDING else "worse than before"
    if gain < -bound.worse_by - _ROUNDING:
        return f"{bound.show_difference(gain)} worse (the bound is {bound.show_difference(bound.worse_by)})"
    return None


def with_bound(bounds: Sequence[Bound], name: str, worse_by: float) -> tuple[Bound, ...]:
    """The bounds with another one for a measure."""
    return tuple(replace(bound, worse_by=worse_by) if bound.name == name else bound for bound in bounds)
