"""Conditions by their names: what they are joined from, and that any audio goes through each."""

import numpy as np
import pytest

from rejoinder.audio import SAMPLE_RATE
from rejoinder.conditions import FAST, condition
from rejoinder.errors import AudioError
from tests.test_acoustics import pitch_hz, tone, voice


def test_what_is_not_known_is_named_with_the_choices() -> None:
    known = r"\(known: clean, fast, loss5, noise10, phone, reverb, slow; join several with \+\)"
    for name in ("noise", "noisy", "phone8", "loss", "loss51", "loss-1", ""):
        with pytest.raises(AudioError, match=rf"unknown condition '{name}' {known}"):
            condition(name)
    with pytest.raises(AudioError, match="unknown condition 'tin' "):
        condition("phone+tin")
    with pytest.raises(AudioError, match="'fast' and 'slow' are of one kind"):
        condition("phone+fast+slow")


def test_joined_conditions_come_in_natures_order_however_they_are_written() -> None:
    names = ("fast+reverb+noise10+phone+loss5", "loss5+phone+noise10+reverb+fast")
    one, other = (condition(name)(voice(), np.random.default_rng(0)) for name in names)
    assert np.array_equal(one, other)
    assert len(one) == pytest.approx(len(voice()) / FAST, abs=2)
    noisy_phone = condition("phone+noise0")(voice(), np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(noisy_phone))
    hz = np.fft.rfftfreq(len(noisy_phone), 1 / SAMPLE_RATE)
    assert spectrum[hz > 5_000].max() < 0.02 * spectrum.max(), "the noise went through the telephone, too"


@pytest.mark.parametrize(("name", "pace"), [("fast", 1.25), ("slow", 0.8), ("phone+slow", 0.8)])
def test_another_pace_at_the_same_pitch(name: str, pace: float) -> None:
    heard = condition(name)(tone(400.0, 2.0), np.random.default_rng(0))
    assert len(heard) == pytest.approx(2 * SAMPLE_RATE / pace, abs=2)
    assert pitch_hz(heard) == pytest.approx(400.0, rel=0.01)


@pytest.mark.parametrize("name", ["fast", "slow"])
@pytest.mark.parametrize("n_samples", [0, 1, 100, 400, 16_001])
def test_a_pace_for_any_audio(name: str, n_samples: int) -> None:
    heard = condition(name)(voice()[:n_samples], np.random.default_rng(0))
    assert heard.dtype == np.float32
    assert np.isfinite(heard).all()
    assert np.abs(heard).max(initial=0.0) <= 1.0


@pytest.mark.parametrize("name", ["clean", "phone", "reverb", "noise10", "noise-2.5", "loss5", "loss50", "phone+loss5"])
@pytest.mark.parametrize("n_samples", [0, 1, 100, 400, 16_001])
def test_conditions_keep_length_and_kind_of_any_audio(name: str, n_samples: int) -> None:
    samples = voice()[:n_samples]
    for noises in ((), (tone(300.0, 0.1),)):
        heard = condition(name, noises=noises)(samples, np.random.default_rng(0))
        assert heard.shape == samples.shape
        assert heard.dtype == np.float32
        assert np.isfinite(heard).all()
        assert np.abs(heard).max(initial=0.0) <= 1.0


def test_a_condition_s_noise_is_cut_from_what_is_given() -> None:
    heard = condition("noise0", noises=[tone(2_500.0, 3.0)])(voice(), np.random.default_rng(0))
    assert pitch_hz(heard - voice() * np.float32(0.5)) == pytest.approx(2_500.0, rel=0.01)
