"""Spectra of speech, as tensors: what training compares, and what the posterior encoder hears."""

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rejoinder.adapt.voice.model import HOP, SAMPLE_RATE

N_FFT = 1024
N_BINS = N_FFT // 2 + 1
N_MELS = 80

_N_ENVELOPE = 36  # cepstral coefficients: 1.6 ms, shorter than the period of any voice


def spectrogram(samples: Tensor) -> Tensor:
    """Magnitudes (n_batch, N_BINS, n_frames) of (n_batch, n_frames * HOP) samples."""
    pad = (N_FFT - HOP) // 2
    padded = functional.pad(samples[:, None], (pad, pad), mode="reflect")[:, 0]
    return _magnitudes(padded, N_FFT, HOP, center=False)


def log_mel(magnitudes: Tensor, highest_hz: float) -> Tensor:
    """Log magnitudes in the mel bands below `highest_hz`, (n_batch, n_bands, n_frames)."""
    filters = mel_filters(highest_hz).to(magnitudes)
    return (filters @ magnitudes).clamp_min(1e-5).log()


def stft_magnitudes(samples: Tensor, n_fft: int) -> Tensor:
    """Magnitudes (n_batch, n_fft // 2 + 1, n_frames) at a quarter of the window's hop."""
    return _magnitudes(samples, n_fft, n_fft // 4, center=True)


def _magnitudes(samples: Tensor, n_fft: int, hop: int, *, center: bool) -> Tensor:
    window = torch.hann_window(n_fft, device=samples.device)
    bins = torch.stft(samples, n_fft, hop, window=window, center=center, return_complex=True)
    magnitudes: Tensor = (bins.real.square() + bins.imag.square() + 1e-9).sqrt()
    return magnitudes


@cache
def mel_filters(highest_hz: float) -> Tensor:
    """Triangular filters (n_bands, N_BINS) of `N_MELS` bands up to half the sample rate, only those below `highest_hz`.

    Each has the same area over the frequencies, on the mel scale of O'Shaughnessy, 1987.
    """
    mels = np.linspace(0.0, 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700), N_MELS + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    hz = np.linspace(0, SAMPLE_RATE / 2, N_BINS)
    rising = (hz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hz) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    below = edges[2:] <= highest_hz + 1
    return torch.from_numpy(filters[below]).float()


def move_formants(magnitudes: Tensor, factor: float) -> Tensor:
    """Stretch the spectral envelope over the frequencies by `factor`; the harmonics stay where they are.

    (n_batch, N_BINS, n_frames) in and out. The envelope is the spectrum smoothed in the cepstrum.
    """
    logs = magnitudes.clamp_min(1e-5).log()
    cepstrum = torch.fft.irfft(logs, dim=1)
    cepstrum[:, _N_ENVELOPE : N_FFT - _N_ENVELOPE + 1] = 0
    envelope = torch.fft.rfft(cepstrum, dim=1).real
    position = (torch.arange(N_BINS, device=logs.device) / factor).clamp_max(N_BINS - 1)
    left = position.long().clamp_max(N_BINS - 2)
    share = (position - left)[:, None]
    moved = envelope[:, left] * (1 - share) + envelope[:, left + 1] * share
    moved_spectrum: Tensor = (logs + moved - envelope).exp()
    return moved_spectrum
