"""Durations carried from one rendering of a text to another: known stretchings, and the donor's own."""

import numpy as np
import pytest
import torch

from rejoinder.adapt.voice.alignment import match
from rejoinder.adapt.voice.donor import Donor
from rejoinder.adapt.voice.model import HOP, SAMPLE_RATE
from rejoinder.adapt.voice.sound import Sound
from rejoinder.events import Samples


def sounds(*n_frames: int) -> Samples:
    """Vowels of one pitch and different formants, one after the other."""
    parts = []
    for n, length in enumerate(n_frames):
        time = np.arange(length * HOP) / SAMPLE_RATE
        harmonics = np.arange(1, 60) * 120.0
        levels = np.exp(-np.square((harmonics - 900 * (n + 1)) / 500)) + 0.01
        part = levels @ np.sin(2 * np.pi * harmonics[:, None] * time)
        parts.append(0.1 * part / part.std())
    return np.concatenate(parts).astype(np.float32)


def test_each_sound_keeps_its_borders_however_long_it_lasts() -> None:
    said, recorded = (20, 20, 20, 20), (10, 35, 20, 28)
    found = match(Sound.of(sounds(*said)), np.array(said), Sound.of(sounds(*recorded)))
    assert found.sum() == sum(recorded)
    assert np.abs(np.cumsum(found) - np.cumsum(recorded)).max() <= 2


def test_the_same_utterance_keeps_its_durations() -> None:
    found = match(Sound.of(sounds(9, 14, 30)), np.array([9, 14, 30]), Sound.of(sounds(9, 14, 30)))
    assert np.abs(found - [9, 14, 30]).max() <= 1


@pytest.mark.model
def test_the_donor_at_another_pace_is_aligned_as_it_spoke(donor: Donor) -> None:
    ids = torch.tensor(donor.phoneme_ids("Would you like anything else with that?"))
    torch.manual_seed(0)
    plain = donor.model.speak(ids, noise=0.3, noise_w=0.0)
    slow = donor.model.speak(ids, noise=0.3, noise_w=0.8, length=1.3)
    found = match(Sound.of(plain.samples.numpy()), plain.durations.numpy(), Sound.of(slow.samples.numpy()))
    assert found.sum() == slow.durations.sum()
    off = np.abs(found.cumsum() - slow.durations.numpy().cumsum())
    assert off.mean() < 3  # frames, of 12 ms
