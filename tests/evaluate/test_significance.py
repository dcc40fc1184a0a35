"""How sure a figure is: known intervals, and what bootstraps must show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.evaluate.significance import N_RESAMPLES, difference, ratio, share

COUNTS = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 20)), min_size=1, max_size=40)


class TestShares:
    @pytest.mark.parametrize(
        ("right", "n", "low", "high"),
        [(40, 40, 0.9124, 1.0), (0, 40, 0.0, 0.0876), (81, 263, 0.2553, 0.3662), (1, 1, 0.2065, 1.0)],
    )
    def test_known_intervals(self, right: int, n: int, low: float, high: float) -> None:
        """81 of 263 is the example of Newcombe 1998, "Two-sided confidence intervals for the single proportion"."""
        estimate = share([True] * right + [False] * (n - right))
        assert (estimate.value, estimate.n) == (right / n, n)
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=5e-5)

    @given(st.lists(st.booleans(), min_size=1, max_size=200))
    def test_as_scipy_has_it(self, outcomes: list[bool]) -> None:
        stats = pytest.importorskip("scipy.stats")
        known = stats.binomtest(sum(outcomes), len(outcomes)).proportion_ci(method="wilson")
        estimate = share(outcomes)
        assert (estimate.low, estimate.high) == pytest.approx((known.low, known.high))

    def test_nothing_is_known_of_nothing(self) -> None:
        estimate = share([])
        assert (estimate.low, estimate.high, estimate.n) == (0.0, 1.0, 0)


class TestRatios:
    def test_as_resampling_one_by_one(self) -> None:
        rng = np.random.default_rng(3)
        words = rng.integers(1, 15, 60)
        errors = rng.binomial(words, 0.2)
        picked = rng.integers(60, size=(20_000, 60))
        rates = errors[picked].sum(axis=1) / words[picked].sum(axis=1)
        estimate = ratio(errors, words)
        assert estimate.value == errors.sum() / words.sum()
        assert estimate.n == 60
        assert (estimate.low, estimate.high) == pytest.approx(tuple(np.percentile(rates, [2.5, 97.5])), abs=0.005)

    def test_the_truth_is_mostly_within(self) -> None:
        rng = np.random.default_rng(0)
        within = 0
        for _ in range(200):
            words = rng.integers(5, 12, 100)
            estimate = ratio(rng.binomial(words, 0.1), words, n_resamples=500)
            within += estimate.low <= 0.1 <= estimate.high
        assert 0.90 <= within / 200 <= 0.99

    def test_the_order_does_not_matter(self) -> None:
        assert ratio([1, 0, 3], [4, 5, 6]) == ratio([3, 1, 0], [6, 4, 5])

    def test_the_same_seed_gives_the_same(self) -> None:
        errors, words = [1, 0, 3, 2, 0, 5, 1], [4, 5, 6, 9, 3, 8, 7]
        assert ratio(errors, words) == ratio(errors, words, seed=0) != ratio(errors, words, seed=1)

    def test_no_error_at_all_still_leaves_room(self) -> None:
        none = ratio([0] * 40, [7] * 40)
        assert (none.value, none.low) == (0.0, 0.0)
        assert none.high == share([False] * 40).high
        every = ratio([7] * 40, [7] * 40)
        assert (every.value, every.high) == (1.0, 1.0)
        assert every.low == pytest.approx(1 - none.high)
        assert ratio([1], [2]).low < 0.5 < ratio([1], [2]).high

    def test_references_without_words(self) -> None:
        assert ratio([2, 0], [0, 4]).value == 0.5
        assert ratio([0], [0]).value == 0.0

    def test_nothing_to_resample(self) -> None:
        with pytest.raises(ValueError, match="no utterances"):
            ratio([], [])

    @settings(max_examples=50)
    @given(COUNTS)
    def test_the_figure_is_within_its_interval(self, counts: list[tuple[int, int]]) -> None:
        estimate = ratio([errors for errors, _ in counts], [words for _, words in counts], n_resamples=300)
        assert 0 <= estimate.low <= estimate.value <= estimate.high


class TestDifferences:
    def test_pairs_tell_more_than_apart(self) -> None:
        rng = np.random.default_rng(1)
        words = rng.integers(3, 30, 150)
        hard = rng.binomial(words, rng.uniform(0, 0.8, 150))  # what is hard for one is hard for the other
        better = np.maximum(hard - (rng.random(150) < 0.2), 0)
        change = difference((better, words), (hard, words))
        assert change.value == pytest.approx((better.sum() - hard.sum()) / words.sum())
        assert change.low < change.value < change.high < 0
        assert change.p < 0.01
        apart = ratio(hard, words)
        assert change.high - change.low < (apart.high - apart.low) / 3

    def test_the_other_way_round(self) -> None:
        first, second = ([1, 1, 0, 1, 1], [1] * 5), ([0, 1, 0, 0, 1], [1] * 5)
        change, back = difference(first, second), difference(second, first)
        assert change.value == -back.value == pytest.approx(2 / 5)
        assert change.p == pytest.approx(back.p, abs=0.05)

    def test_the_same(self) -> None:
        counts = [1, 0] * 20, [1] * 40
        change = difference(counts, counts)
        assert (change.value, change.p) == (0.0, 1.0)
        assert change.high == -change.low == share([False] * 40).high

    def test_all_against_nothing(self) -> None:
        change = difference(([1] * 40, [1] * 40), ([0] * 40, [1] * 40))
        assert (change.value, change.high) == (1.0, 1.0)
        assert 0.9 < change.low < 1.0
        assert change.p == pytest.approx(2 / (N_RESAMPLES + 1))

    @pytest.mark.parametrize(("n", "p"), [(1, 1.0), (2, 0.5), (5, 1 / 16)])
    def test_few_utterances_prove_little(self, n: int, p: float) -> None:
        assert difference(([1] * n, [1] * n), ([0] * n, [1] * n)).p == p

    def test_one_more_of_forty_is_no_news(self) -> None:
        assert difference(([1] * 40, [1] * 40), ([0] + [1] * 39, [1] * 40)).p > 0.5

    def test_p_is_rarely_small_where_nothing_differs(self) -> None:
        rng = np.random.default_rng(2)
        small = 0
        for _ in range(200):
            first, second = rng.random((2, 100)) < 0.8
            ones = np.ones(100)
            small += difference((first, ones), (second, ones), n_resamples=400).p < 0.05
        assert small / 200 < 0.1

    @settings(max_examples=50)
    @given(COUNTS)
    def test_p_is_a_probability(self, counts: list[tuple[int, int]]) -> None:
        errors, words = ([pair[n] for pair in counts] for n in (0, 1))
        change = difference((errors, words), (errors[::-1], words), n_resamples=200)
        assert 0 < change.p <= 1
        assert change.low <= change.high
