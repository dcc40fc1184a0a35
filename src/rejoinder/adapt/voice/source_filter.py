"""Latent to waveform by a source and a filter: pulses at the pitch and noise, each through a spectrum for each frame.

VITS's own decoder makes every oscillation itself, which it learns only from discriminators, with days of a GPU: taught
by spectral losses alone, one that was pretrained on another speaker stays at that speaker's pitch. Here the oscillation
is given, so that spectral losses say all there is to learn, as Wang et al. found (2019, "Neural source-filter waveform
models"), in the form that Liu et al. gave it (2020, "Neural homomorphic vocoder"): linear filters that change with
time. The network runs once a frame and not once a sample, so training and speaking are several times faster, too.
"""

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rejoinder.adapt.voice.layers import ChannelNorm
from rejoinder.adapt.voice.model import HOP, N_CHANNELS, SAMPLE_RATE
from rejoinder.adapt.voice.spectra import N_BINS, N_FFT, mel_knots

N_HIDDEN = 256
N_BLOCKS = 6
MIDDLE_HZ = 150.0
"""Pitch that others are measured from: near to what is spoken, so that float32 holds the difference to 1e-7."""
N_KNOTS = 80
"""Of a filter's log magnitudes, from 0 Hz to half the sample rate by the mel scale."""
N_SEGMENT = 2 * HOP
"""Samples that are filtered at once; what is left of `N_FFT` is room for the filter's response."""

N_LONGEST_VOICED = 2048
"""Frames after which pulses no longer know when they began: 24 s without a voiceless sound, which nobody says."""

_DROWNED = 4.0  # times the pulses' power, summed over the knots: 6 dB
_HIGHEST_HZ = 0.49 * SAMPLE_RATE  # of the pulses' harmonics
_QUIET = -5.0  # log magnitude that it starts from
_LOUDEST = 6.0
_SPREAD = 5.0  # of the log magnitudes: what the last layer gives is about 1


class Block(nn.Module):
    """One of ConvNeXt's (Liu et al., 2022), in one dimension as in Vocos (Siuzdak, 2023)."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(n_channels, n_channels, 7, padding=3, groups=n_channels)
        self.norm = ChannelNorm(n_channels)
        self.wider = nn.Conv1d(n_channels, 3 * n_channels, 1)
        self.back = nn.Conv1d(3 * n_channels, n_channels, 1)
        self.scale = nn.Parameter(torch.full((n_channels, 1), 1 / N_BLOCKS))

    def forward(self, x: Tensor) -> Tensor:
        wider = functional.gelu(self.wider(self.norm(self.depthwise(x))))
        return x + self.scale * self.back(wider)  # type: ignore[no-any-return]


class Timbre(nn.Module):
    """What a decoder knows of one speaker alone.

    Scale and shift of its channels before each block and after the last (FiLM: Perez et al., 2018), and how pitch and
    filters are read off them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scales = nn.Parameter(torch.zeros(N_BLOCKS + 1, N_HIDDEN, 1))
        self.shifts = nn.Parameter(torch.zeros(N_BLOCKS + 1, N_HIDDEN, 1))
        self.pitch = nn.Conv1d(N_HIDDEN, 1, 1)
        self.filters = nn.Conv1d(N_HIDDEN, 2 * N_KNOTS, 1)
        for layer in (self.pitch, self.filters):
            nn.init.normal_(layer.weight, std=0.01)

    def colour(self, x: Tensor, place: int) -> Tensor:
        """The channels before block `place`; `N_BLOCKS` is after the last one."""
        return x * (1 + self.scales[place]) + self.shifts[place]


class SourceFilterDecoder(nn.Module):
    """Latent to waveform."""

    def __init__(self) -> None:
        super().__init__()
        self.pre = nn.Conv1d(N_CHANNELS, N_HIDDEN, 7, padding=3)
        self.blocks = nn.ModuleList(Block(N_HIDDEN) for _ in range(N_BLOCKS))
        self.norm = ChannelNorm(N_HIDDEN)
        self.timbre = Timbre()

    def forward(self, z: Tensor) -> Tensor:
        """(n_batch, N_CHANNELS, n_frames) to (n_batch, n_frames * HOP)."""
        octaves, knots = self.filters_of(z)
        return speak(MIDDLE_HZ * (math.log(2) * octaves).exp(), knots, restarts(knots))

    def filters_of(self, z: Tensor, timbre: Timbre | None = None) -> tuple[Tensor, Tensor]:
        """Octaves over `MIDDLE_HZ`, (n_batch, n_frames), and log magnitudes, (n_batch, 2 * N_KNOTS, n_frames).

        Of these the first half are of the pulses' filter, the others of the noise's. `timbre` is that of another
        speaker than its own.
        """
        timbre = self.timbre if timbre is None else timbre
        x = self.pre(z)
        for n, block in enumerate(self.blocks):
            x = block(timbre.colour(x, n))
        x = timbre.colour(self.norm(x), N_BLOCKS)
        knots = _SPREAD * timbre.filters(x) + _QUIET
        return timbre.pitch(x)[:, 0], knots.clamp_max(_LOUDEST)


def restarts(knots: Tensor) -> Tensor:
    """Where noise begins to drown the pulses, (n_batch, n_frames): nobody hears that these begin anew."""
    of_pulses, of_noise = (2 * knots).exp().chunk(2, 1)
    excess: Tensor = of_noise.sum(1) - _DROWNED * of_pulses.sum(1)
    return (excess > 0) & (functional.pad(excess, (1, 0), value=-1.0)[:, :-1] <= 0)


def speak(hz: Tensor, knots: Tensor, anew: Tensor | None = None) -> Tensor:
    """Pulses at `hz` (n_batch, n_frames) and noise, each through its filters, to (n_batch, n_frames * HOP).

    `knots` (n_batch, 2 * N_KNOTS, n_frames) are the filters' log magnitudes. Each frame's hold in the middle of its
    samples, and fade into the next one's. For `anew` see `pulses`; training compares spectra, which do not hear it.
    """
    voiced = pulses(hz, anew)
    sources = torch.stack([voiced, torch.randn_like(voiced)], 1)  # (n_batch, 2, n_samples)
    n_batch, n_frames = hz.shape
    analysis, synthesis, magnitude, phase = (matrix.to(hz) for matrix in matrices())
    spectra = functional.conv1d(sources.flatten(0, 1)[:, None], analysis, stride=HOP, padding=HOP // 2)
    real, imaginary = spectra.view(n_batch, 2, 2, N_BINS, n_frames).unbind(2)  # (n_batch, 2, N_BINS, n_frames)
    of_each = knots.view(n_batch, 2, N_KNOTS, n_frames)
    gain, angle = (magnitude @ of_each).exp(), phase @ of_each
    cosine, sine = gain * angle.cos(), gain * angle.sin()
    out = torch.cat([(real * cosine - imaginary * sine).sum(1), (real * sine + imaginary * cosine).sum(1)], 1)
    whole = functional.conv_transpose1d(out, synthesis, stride=HOP)[:, 0]
    return whole[:, HOP // 2 : HOP // 2 + n_frames * HOP]


def pulses(hz: Tensor, anew: Tensor | None = None) -> Tensor:
    """A train of band-limited pulses of unit variance, (n_batch, n_frames * HOP); the pitch glides from frame to frame.

    The harmonics' sum in closed form, Dirichlet's kernel; the highest one fades in and out. At the frames `anew`
    (n_batch, n_frames) the train begins once more with a pulse: their places add up what is rounded off the pitch, and
    two runtimes that round otherwise would go apart in a long sentence.
    """
    following = torch.cat([hz[:, 1:], hz[:, -1:]], 1)
    cycles = (hz + following).double() * (0.5 * HOP / SAMPLE_RATE)
    begun = cycles.cumsum(1) - cycles
    if anew is not None:
        lately = functional.pad(torch.where(anew, begun, 0.0)[:, None], (N_LONGEST_VOICED - 1, 0))
        begun = begun - functional.max_pool1d(lately, N_LONGEST_VOICED, 1)[:, 0]
    begun = (begun - begun.floor()).to(hz.dtype)[:, :, None]
    share = torch.arange(HOP, device=hz.device, dtype=hz.dtype) / HOP
    first, rise = hz[:, :, None], (following - hz)[:, :, None]
    phase = (begun + HOP / SAMPLE_RATE * (first * share + rise * (0.5 * share.square()))).flatten(1)
    now = (first + rise * share).flatten(1)
    phase = phase - phase.round()
    n_harmonics = _HIGHEST_HZ / now
    whole = n_harmonics.floor()
    near = phase.abs() < 1e-5
    safe = torch.where(near, torch.full_like(phase, 1e-5), phase)
    kernel = torch.sin((2 * whole + 1) * (math.pi * safe)) / torch.sin(math.pi * safe)
    total = 0.5 * (kernel - 1) + (n_harmonics - whole) * torch.cos(2 * math.pi * (whole + 1) * phase)
    return total * (2 / n_harmonics).sqrt()


@cache
def matrices() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What does not change: windowed Fourier transform, its inverse, and knots to log magnitudes and phases.

    The phases are those of the filter of least delay with these magnitudes: the Hilbert transform of their logarithms.
    """
    angles = 2 * np.pi * np.outer(np.arange(N_BINS), np.arange(N_FFT)) / N_FFT
    window = np.hanning(N_SEGMENT + 1)[:-1]
    analysis = np.concatenate([np.cos(angles), -np.sin(angles)])[:, :N_SEGMENT] * window
    weights = np.full((N_BINS, 1), 2 / N_FFT)
    weights[[0, -1]] = 1 / N_FFT
    synthesis = np.concatenate([weights * np.cos(angles), -weights * np.sin(angles)])
    knots = mel_knots(N_KNOTS)  # (N_BINS, N_KNOTS)
    cepstra = np.fft.irfft(knots, axis=0)
    cepstra[1 : N_FFT // 2] *= 2
    cepstra[N_FFT // 2 + 1 :] = 0
    phase = np.fft.rfft(cepstra, axis=0).imag
    return (
        torch.from_numpy(analysis).float()[:, None],
        torch.from_numpy(synthesis).float()[:, None],
        torch.from_numpy(knots).float(),
        torch.from_numpy(phase).float(),
    )
