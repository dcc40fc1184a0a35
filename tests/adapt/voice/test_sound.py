"""The pitch of each frame: of a tone that is known, across a pause, and where there is none."""

import numpy as np
import pytest

from rejoinder.adapt.voice.model import HOP, SAMPLE_RATE
from rejoinder.adapt.voice.sound import Sound
from rejoinder.events import Samples

pytestmark = pytest.mark.model


def tone(hz: float, seconds: float) -> Samples:
    """Harmonics that fall off as those of a voice do."""
    time = np.arange(round(seconds * SAMPLE_RATE) // HOP * HOP) / SAMPLE_RATE
    return sum(0.2 / n * np.sin(2 * np.pi * hz * n * time) for n in range(1, 12)).astype(np.float32)  # type: ignore[union-attr]


def test_the_pitch_is_found_in_each_frame_and_glides_over_a_pause() -> None:
    pause = np.zeros(40 * HOP, np.float32)
    samples = np.concatenate([tone(120, 1.0), pause, tone(240, 1.0)])
    found = Sound.of(samples)
    n_frames = len(samples) // HOP
    assert found.n_frames == n_frames == len(found.voiced)
    assert found.crop(10, 5)["samples"].shape == (5 * HOP,)
    assert np.allclose(found.hz[10:70], 120, rtol=0.02)
    assert np.allclose(found.hz[-70:-10], 240, rtol=0.02)
    assert found.voiced[10:70].min() > 0.5 > found.voiced[100]
    assert 130 < found.hz[105] < 230


def test_noise_and_silence_have_none_but_a_number_all_the_same() -> None:
    for samples in (np.zeros(50 * HOP), np.random.default_rng(0).standard_normal(50 * HOP) * 0.05):
        found = Sound.of(samples.astype(np.float32))
        assert found.voiced.mean() < 0.2
        assert (found.hz > 40).all()
