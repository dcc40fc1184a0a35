"""Which phoneme each frame of a recording belongs to: monotonic alignment search (Kim et al., 2020, "Glow-TTS")."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rejoinder.adapt.voice.model import VoiceModel
from rejoinder.adapt.voice.posterior import Posterior
from rejoinder.adapt.voice.spectra import spectrogram


def best_durations(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """Frames for each phoneme on the best monotonic path through `scores` (n_frames, n_ids), one at least.

    Raises `ValueError` when there are fewer frames than phonemes.
    """
    n_frames, n_ids = scores.shape
    if n_frames < n_ids:
        raise ValueError(f"{n_frames} frames cannot hold {n_ids} phonemes")
    best = np.full(n_ids, -np.inf)
    best[0] = scores[0, 0]
    moved = np.zeros((n_frames, n_ids), bool)
    for n in range(1, n_frames):
        before = np.concatenate([[-np.inf], best[:-1]])
        moved[n] = before > best
        best = np.where(moved[n], before, best) + scores[n]
    durations = np.zeros(n_ids, np.int64)
    at = n_ids - 1
    for n in range(n_frames - 1, -1, -1):
        durations[at] += 1
        at -= int(moved[n, at])
    return durations


@torch.no_grad()
def align(voice: VoiceModel, posterior: Posterior, samples: Tensor, hidden: Tensor) -> Tensor:
    """Durations (n_ids,) in frames of the phonemes with `hidden` states (N_CHANNELS, n_ids) in `samples`.

    Each frame's latent is scored under each phoneme's prior.
    """
    mean, _ = posterior(spectrogram(samples[None]))
    latent = voice.flow(mean)[0]  # (N_CHANNELS, n_frames)
    prior_mean, log_deviation = (part[0] for part in voice.enc_p.prior(hidden[None]))  # (N_CHANNELS, n_ids)
    precision = torch.exp(-2 * log_deviation)
    constant = -(log_deviation + 0.5 * prior_mean.square() * precision).sum(0)
    scores = constant + latent.T @ (prior_mean * precision) - 0.5 * latent.square().T @ precision
    return torch.from_numpy(best_durations(scores.double().numpy()))
