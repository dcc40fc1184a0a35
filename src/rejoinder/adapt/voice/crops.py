"""Crops of utterances, which training is done on: where they begin, and which of their frames are compared."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from rejoinder.adapt.voice.recordings import N_LEAST_FRAMES
from rejoinder.adapt.voice.sound import Sound

N_FRAMES = N_LEAST_FRAMES
"""Of a crop to train on."""
N_EDGE = 8
"""Frames at either end of a crop that are not compared, for they lack what was before or after: unless that is nothing,
as where an utterance begins and ends."""


def n_crops(sound: Sound) -> int:
    """How many whole crops an utterance has: it is learnt from as often in an epoch."""
    return max(1, round(sound.n_frames / N_FRAMES))


def start_of_crop(n_frames: int, rng: np.random.Generator) -> int:
    """Where a crop of `n_frames` begins; as often at either end as those frames are compared in no other crop."""
    last = n_frames - N_FRAMES
    return int(np.clip(rng.integers(-N_EDGE, last + N_EDGE + 1), 0, last))


def compared(n_frames: Sequence[int], starts: Sequence[int]) -> Tensor:
    """Which frames of crops of utterances of these lengths are compared, (n_batch, N_FRAMES)."""
    mask = torch.zeros(len(starts), N_FRAMES, dtype=torch.bool)
    for row, n, start in zip(mask, n_frames, starts, strict=True):
        row[0 if start == 0 else N_EDGE : N_FRAMES if start + N_FRAMES == n else -N_EDGE] = True
    return mask


def spread(hidden: Tensor, durations: Tensor, start: int) -> Tensor:
    """The states of the phonemes that fill a crop, (N_CHANNELS, N_FRAMES), from (N_CHANNELS, n_ids) of all of them."""
    frames = torch.arange(start, start + N_FRAMES)
    return hidden[:, torch.searchsorted(durations.cumsum(0), frames, right=True)]


def crops(sounds: Sequence[Sound], starts: Sequence[int]) -> Mapping[str, Tensor]:
    """A crop of each sound from a frame on, stacked by name, and which frames are "compared"."""
    cut = [sound.crop(start, N_FRAMES) for sound, start in zip(sounds, starts, strict=True)]
    mask = compared([sound.n_frames for sound in sounds], starts)
    return {"compared": mask, **{name: torch.stack([crop[name] for crop in cut]) for name in cut[0]}}
