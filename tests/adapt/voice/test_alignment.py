"""Monotonic alignment search: known answers, the best of all paths, and the donor's own durations."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.adapt.voice.alignment import best_durations


def test_each_phoneme_gets_the_frames_that_are_most_like_it() -> None:
    scores = np.full((7, 3), -1.0)
    scores[:2, 0] = scores[2:3, 1] = scores[3:, 2] = 0.0
    assert best_durations(scores).tolist() == [2, 1, 4]


def test_no_phoneme_is_left_out_however_unlikely() -> None:
    scores = np.zeros((4, 3))
    scores[:, 1] = -100.0
    assert best_durations(scores).tolist()[1] == 1
    assert best_durations(np.zeros((3, 3))).tolist() == [1, 1, 1]


@given(st.integers(1, 4), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_no_other_path_scores_higher(n_ids: int, n_more: int, seed: int) -> None:
    n_frames = n_ids + n_more
    scores = np.random.default_rng(seed).standard_normal((n_frames, n_ids))

    def total(durations: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> float:
        return float(scores[np.arange(n_frames), np.repeat(np.arange(n_ids), durations)].sum())

    durations = best_durations(scores)
    assert durations.sum() == n_frames
    assert durations.min() >= 1
    borders = combinations(range(1, n_frames), n_ids - 1)
    assert total(durations) == pytest.approx(max(total(np.diff([0, *cut, n_frames])) for cut in borders))


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="2 frames cannot hold 3 phonemes"):
        best_durations(np.zeros((2, 3)))
