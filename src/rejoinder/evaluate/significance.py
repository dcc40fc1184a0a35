"""How sure a figure is, and whether two systems differ.

What was measured on is a sample of utterances, so that utterances, not words, are what is resampled: "Bootstrap
estimates for confidence intervals in ASR performance evaluation" (Bisani and Ney 2004). Intervals are the 2.5th to
the 97.5th percentile. Shares of utterances have Wilson's score interval (Wilson 1927; Brown, Cai and DasGupta 2001,
"Interval estimation for a binomial proportion"), which has a width for 40 of 40 too, where a bootstrap has none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rejoinder.evaluate.scores import Estimate

N_RESAMPLES = 2000
COVERAGE = 0.95
SEED = 0

_TAIL = (1 - COVERAGE) / 2
_Z = NormalDist().inv_cdf(1 - _TAIL)  # 1.96


def share(outcomes: Sequence[bool]) -> Estimate:
    """How often something is so, with Wilson's interval; without any outcome, 0 of which nothing is known."""
    n = len(outcomes)
    if not n:
        return Estimate(0.0, 0.0, 1.0, 0)
    value = sum(outcomes) / n
    centre = (value + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(value * (1 - value) / n + _Z**2 / (4 * n**2))
    # The bounds at 0 and 1 are exact but for rounding.
    low, high = max(0.0, centre - half) if value else 0.0, min(1.0, centre + half) if value < 1 else 1.0
    return Estimate(value, low, high, n)


def ratio(parts: ArrayLike, wholes: ArrayLike, *, seed: int = SEED, n_resamples: int = N_RESAMPLES) -> Estimate:
    """A sum over another, as word errors over words said, with its bootstrap interval.

    `parts` and `wholes` have one figure for each utterance, shape (n,). Where all resamples agree (no error in any
    utterance), the interval is as wide as Wilson's would be: of n utterances.
    """
    counts = np.stack([np.asarray(parts, np.float64), np.asarray(wholes, np.float64)], axis=1)
    resampled = _ratios(_resample(counts, seed, n_resamples))
    value = float(_ratios(counts.sum(axis=0)))
    low, high = _interval(resampled, value, len(counts))
    return Estimate(value, max(0.0, low), high, len(counts))


@dataclass(frozen=True, slots=True)
class Change:
    """How much one system's figure is above another's."""

    value: float
    low: float
    high: float
    p: float
    """Two-sided."""


def difference(
    first: tuple[ArrayLike, ArrayLike],
    second: tuple[ArrayLike, ArrayLike],
    *,
    seed: int = SEED,
    n_resamples: int = N_RESAMPLES,
) -> Change:
    """The ratio of the first system less that of the second, on the same utterances: a paired bootstrap.

    Each is a pair of parts and wholes as for `ratio`, with the utterances in the same order. p is twice the share of
    the resamples in which the difference is gone or reversed, counting the sample itself (Davison and Hinkley 1997,
    section 4.4). A bootstrap of a handful of utterances is too sure of itself: where m of them differ, p is at least
    2^(1 - m), the least that a sign test could say.
    """
    counts = np.stack([np.asarray(column, np.float64) for column in (*first, *second)], axis=1)
    resampled = _differences(_resample(counts, seed, n_resamples))
    value = float(_differences(counts.sum(axis=0)))
    n_reversed = min(int((resampled <= 0).sum()), int((resampled >= 0).sum()))
    n_differing = int((counts[:, :2] != counts[:, 2:]).any(axis=1).sum())
    p = max(2 * (n_reversed + 1) / (n_resamples + 1), 2.0 ** (1 - n_differing))
    low, high = _interval(resampled, value, len(counts))
    return Change(value, low, high, min(1.0, p))


def _resample(counts: NDArray[np.float64], seed: int, n_resamples: int) -> NDArray[np.float64]:
    """The sums of as many utterances drawn with replacement, shape (n_resamples, n_columns).

    `counts` has the shape (n_utterances, n_columns). Equal rows are drawn together: how often each is drawn is
    multinomial, and the order of the utterances does not matter.
    """
    if not len(counts):
        raise ValueError("nothing was measured: there are no utterances to resample")
    rows, n_equal = np.unique(counts, axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(counts), n_equal / len(counts), size=n_resamples)
    return np.asarray(drawn @ rows, np.float64)


def _ratios(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the last axis' two columns; 0 of nothing is 0, and what was inserted into nothing counts in full."""
    return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1.0))


def _differences(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return _ratios(sums[..., :2]) - _ratios(sums[..., 2:])


def _interval(resampled: NDArray[np.float64], value: float, n: int) -> tuple[float, float]:
    """Percentiles; around a figure that no resample changes, what 0 of n utterances leaves open."""
    if np.ptp(resampled) > 0:
        low, high = np.percentile(resampled, [100 * _TAIL, 100 * (1 - _TAIL)])
        return float(low), float(high)
    most, open_to = max(1.0, abs(value)), share([False] * n).high
    return max(-most, value - open_to), min(most, value + open_to)
