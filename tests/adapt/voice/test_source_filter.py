"""Pulses and noise through filters: known pitches and spectra, nothing lost on the way, and gradients to learn by."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor

from rejoinder.adapt.voice.measure import pitch
from rejoinder.adapt.voice.model import HOP, N_CHANNELS, SAMPLE_RATE
from rejoinder.adapt.voice.source_filter import (
    N_BLOCKS,
    N_KNOTS,
    N_LONGEST_VOICED,
    SourceFilterDecoder,
    matrices,
    pulses,
    restarts,
    speak,
)

SILENT = -20.0


def knots(pulse: float, noise: float, n_frames: int) -> Tensor:
    """Filters that are flat, at these log magnitudes."""
    return torch.cat([torch.full((1, N_KNOTS, n_frames), level) for level in (pulse, noise)], 1)


@pytest.mark.parametrize("hz", [70.0, 141.3, 260.0, 590.0])
def test_pulses_have_all_harmonics_of_their_pitch_and_unit_variance(hz: float) -> None:
    train = pulses(torch.full((1, 86), hz))[0]
    assert train.std() == pytest.approx(1.0, rel=0.02)
    spectrum = np.abs(np.fft.rfft(train.numpy() * np.hanning(len(train))))
    at = np.arange(len(spectrum)) * SAMPLE_RATE / len(train)
    peaks = at[spectrum > 0.5 * spectrum.max()]
    harmonics = peaks / hz
    assert np.abs(harmonics - harmonics.round()).max() * hz < 3  # Hz: the window's width
    n_harmonics = int(0.49 * SAMPLE_RATE / hz)
    assert set(range(1, n_harmonics + 1)) <= set(harmonics.round()) <= set(range(1, n_harmonics + 2))


def test_the_pitch_glides_without_a_click() -> None:
    glide = pulses(torch.linspace(100, 400, 172)[None])[0]
    smooth = torch.full((1, 43), 100.0), torch.full((1, 43), 400.0)
    steepest = max(float(pulses(hz)[0].diff().abs().max()) for hz in smooth)
    assert glide.diff().abs().max() < 1.1 * steepest
    begins = (glide > 0.25 * glide.max()).int().diff() == 1
    assert int(begins.sum()) == pytest.approx(250 * 172 * HOP / SAMPLE_RATE, rel=0.02)


def test_pulses_begin_anew_where_the_noise_begins_to_drown_them() -> None:
    silence, voice = knots(SILENT, 0.0, 5), knots(0.0, SILENT, 10)
    anew = restarts(torch.cat([voice, silence, voice, silence, voice], 2))
    assert anew[0].nonzero()[:, 0].tolist() == [10, 25]
    assert restarts(silence)[0].tolist() == [True, False, False, False, False]
    hz = torch.full((1, 40), 141.3)
    train = pulses(hz, anew)[0]
    assert torch.equal(train[: 10 * HOP], pulses(hz)[0, : 10 * HOP])
    for first, last in ((10, 25), (25, 40)):
        assert torch.allclose(train[first * HOP : last * HOP], pulses(hz)[0, : (last - first) * HOP], atol=1e-3)


def test_pulses_know_for_long_when_they_began_anew() -> None:
    hz = torch.full((1, N_LONGEST_VOICED), 141.3)
    anew = torch.zeros_like(hz, dtype=torch.bool)
    anew[0, 1] = True
    train = pulses(hz, anew)[0, HOP:]
    assert torch.allclose(train[-HOP:], pulses(hz)[0, -2 * HOP : -HOP], atol=2e-3)


def test_another_timbre_gives_other_filters() -> None:
    torch.manual_seed(0)
    decoder, z = SourceFilterDecoder(), torch.randn(1, N_CHANNELS, 20)
    own = decoder.filters_of(z)[1]
    assert torch.equal(decoder.filters_of(z, deepcopy(decoder.timbre))[1], own)
    for place in range(N_BLOCKS + 1):
        for name in ("scales", "shifts"):
            other = deepcopy(decoder.timbre)
            torch.nn.init.constant_(getattr(other, name)[place], 0.5)
            assert not torch.allclose(decoder.filters_of(z, other)[1], own, atol=1e-4)


def test_flat_filters_change_nothing() -> None:
    hz = torch.full((1, 60), 180.0)
    spoken = speak(hz, knots(0.0, SILENT, 60))
    assert spoken.shape == (1, 60 * HOP)
    inside = slice(HOP, -HOP)
    assert torch.allclose(spoken[0, inside], pulses(hz)[0, inside], atol=1e-4)


def test_noise_goes_through_its_own_filter() -> None:
    torch.manual_seed(0)
    hz = torch.full((1, 200), 180.0)
    hiss = speak(hz, knots(SILENT, math.log(0.1), 200))[0, HOP:-HOP]
    assert hiss.std() == pytest.approx(0.1, rel=0.05)
    assert pitch(hiss.numpy(), SAMPLE_RATE)[1] < 3  # dB of harmonics


def test_a_filter_delays_no_more_than_its_magnitudes_demand() -> None:
    """Its response begins at once and fades before the transform's end, where it would wrap around."""
    _, _, magnitude, phase = matrices()
    formant = torch.zeros(N_KNOTS)
    formant[10:50] = 3.0 * torch.hann_window(40)
    response = torch.fft.irfft((magnitude @ formant).exp() * torch.exp(1j * (phase @ formant)))
    power = response.square()
    assert power[: len(power) // 2].sum() > 0.999 * power.sum()
    assert power.argmax() < 16
    assert power[:80].sum() > 0.9 * power.sum()


def test_it_learns_to_be_louder() -> None:
    torch.manual_seed(0)
    decoder, z = SourceFilterDecoder(), torch.randn(2, N_CHANNELS, 20)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-3)
    levels = []
    for _ in range(4):
        spoken = decoder(z)
        assert spoken.shape == (2, 20 * HOP)
        levels.append(float(spoken.detach().std()))
        (-spoken.square().mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert levels[-1] > 2 * levels[0]
