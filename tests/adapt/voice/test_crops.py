"""Crops of utterances: which frames are compared, and which phonemes fill them."""

import numpy as np
import torch

from rejoinder.adapt.voice.crops import N_EDGE, N_FRAMES, compared, crops, n_crops, spread, start_of_crop
from rejoinder.adapt.voice.model import HOP
from rejoinder.adapt.voice.sound import Sound

N = 3 * N_FRAMES


def a_sound() -> Sound:
    return Sound(torch.arange(N * HOP).float(), torch.arange(N).float(), torch.ones(N))


def test_the_edges_of_a_crop_are_compared_only_where_the_utterance_ends() -> None:
    mask = compared([N] * 3, [0, 10, N - N_FRAMES])
    assert mask[:, N_EDGE:-N_EDGE].all()
    assert mask[:, 0].tolist() == [True, False, False]
    assert mask[:, -1].tolist() == [False, False, True]


def test_every_frame_is_compared_about_as_often() -> None:
    rng = np.random.default_rng(0)
    counts = np.zeros(N)
    for _ in range(4_000):
        start = start_of_crop(N, rng)
        counts[start : start + N_FRAMES] += compared([N], [start])[0].numpy()
    assert counts.min() > 0
    assert counts[0] > 100


def test_crops_are_cut_alike_from_all_that_a_sound_has() -> None:
    batch = crops([a_sound()] * 2, [0, 10])
    assert batch["samples"].shape == (2, N_FRAMES * HOP)
    assert batch["samples"][1, 0] == 10 * HOP
    assert batch["hz"][1].tolist() == list(range(10, 10 + N_FRAMES))
    assert n_crops(a_sound()) == 3


def test_phonemes_are_spread_over_the_frames_they_last() -> None:
    states = torch.tensor([[1.0, 2.0, 3.0]])
    filled = spread(states, torch.tensor([2, 0, N_FRAMES]), 1)
    assert filled.tolist() == [[1.0] + [3.0] * (N_FRAMES - 1)]
