"""Spectra of speech, as tensors: what training compares, and what recordings are aligned by."""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rejoinder.adapt.voice.model import HOP, SAMPLE_RATE

N_FFT = 1024
N_BINS = N_FFT // 2 + 1
N_MELS = 80


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

    Each has the same area over the frequencies.
    """
    edges, hz = _mel_spaced(N_MELS + 2), _bin_hz()
    rising = (hz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hz) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    below = edges[2:] <= highest_hz + 1
    return torch.from_numpy(filters[below]).float()


def mel_knots(n_knots: int) -> NDArray[np.float64]:
    """(N_BINS, n_knots): what each of the knots of a curve, evenly spaced by mel, adds to it at each frequency."""
    places = _mel_spaced(n_knots)
    return np.stack([np.interp(_bin_hz(), places, one) for one in np.eye(n_knots)], axis=1)


def _mel_spaced(n: int) -> NDArray[np.float64]:
    """Frequencies in Hz from 0 to half the sample rate, evenly spaced on the mel scale of O'Shaughnessy, 1987."""
    mels = np.linspace(0.0, 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700), n)
    return np.asarray(700 * (10 ** (mels / 2595) - 1))


def _bin_hz() -> NDArray[np.float64]:
    return np.linspace(0, SAMPLE_RATE / 2, N_BINS)
