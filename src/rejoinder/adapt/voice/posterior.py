"""Posterior encoders: recorded speech to the latent that the decoder speaks from.

Training needs one and exported voices lack it, so it is learnt from the donor's own synthetic speech, whose latents are
known. Two are learnt. One is shown that speech at other pitches, with other vocal tracts and through other microphones,
all with the latents of the original: it hears *what* is said in the donor's terms, whoever says it, and so aligns a new
speaker's recordings with their phonemes. The other hears the donor as they are and takes a new speaker for what they
are: it is where training begins. Begun with the first one, a voice kept the donor's sound (likeness 0.67 in place of
0.73, Asterisk's prompts).
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rejoinder.acoustics import shift_pitch
from rejoinder.adapt.trainer import Batch, TrainingOptions, torch_device, train
from rejoinder.adapt.voice.layers import WaveNet
from rejoinder.adapt.voice.losses import mel_distance
from rejoinder.adapt.voice.measure import pitch
from rejoinder.adapt.voice.model import HOP, N_CHANNELS, SAMPLE_RATE, VoiceModel
from rejoinder.adapt.voice.spectra import N_BINS, move_formants, spectrogram
from rejoinder.events import Samples
from rejoinder.progress import Progress, silent

N_FRAMES = 64
"""Of a crop to train on: 0.74 s."""

_MIDDLE = slice(16, 48)
"""Frames of a crop that are decoded."""
_N_SOUND = 15
"""Weight of the sound's distance against the surprise at the latents."""

_PITCH_HZ = (75.0, 290.0)
"""Of the voices that the posterior learns to hear: from a bass to a child."""
_FORMANTS = (0.87, 1.22)
"""Factors of their formants against the donor's."""


class Posterior(nn.Module):
    """Magnitude spectrogram to mean and log deviation of the latent."""

    def __init__(self) -> None:
        super().__init__()
        self.pre = nn.Conv1d(N_BINS, N_CHANNELS, 1)
        self.enc = WaveNet(N_CHANNELS, n_layers=8)
        self.proj = nn.Conv1d(N_CHANNELS, 2 * N_CHANNELS, 1)
        nn.init.zeros_(self.proj.weight)
        assert self.proj.bias is not None
        nn.init.zeros_(self.proj.bias)

    def forward(self, magnitudes: Tensor) -> tuple[Tensor, Tensor]:
        """(n_batch, N_BINS, n_frames) to two of (n_batch, N_CHANNELS, n_frames)."""
        mean, log_deviation = self.proj(self.enc(self.pre(magnitudes.clamp_min(1e-4).log()))).chunk(2, 1)
        return mean, log_deviation.clamp(-8.0, 3.0)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the donor said: samples, possibly at another pitch, and the latents of the original."""

    samples: Samples
    """(n_frames * HOP,)"""
    original: Samples
    """The same at the donor's own pitch."""
    pitch: float
    """Factor by which pitch, and with it the formants, were shifted."""
    z: Tensor
    """(N_CHANNELS, n_frames)"""


def donor_speech(
    donor: VoiceModel, texts: Sequence[Sequence[int]], *, seed: int, progress: Progress = silent
) -> list[Spoken]:
    """Have the donor say `texts` (phoneme ids), each as it is and at one other pitch."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    said: list[Spoken] = []
    pitches: list[float] = []
    for n, ids in enumerate(texts):
        made = donor.speak(torch.tensor(ids), noise=0.8, length=rng.uniform(0.9, 1.5))
        samples = made.samples.numpy()
        pitches.append(pitch(samples, SAMPLE_RATE)[0] or 120.0)
        wanted_hz = np.exp(rng.uniform(*np.log(_PITCH_HZ)))
        factor = float(wanted_hz / np.median(pitches))
        shifted = shift_pitch(samples, 12 * np.log2(factor))
        said += [Spoken(samples, samples, 1.0, made.z), Spoken(shifted, samples, factor, made.z)]
        progress("speaking as the donor", n + 1, len(texts))
    return [one for one in said if one.z.shape[1] > N_FRAMES]


def learn_anyone(
    donor: VoiceModel,
    said: Sequence[Spoken],
    *,
    folder: Path,
    options: TrainingOptions,
    refining: TrainingOptions,
    progress: Progress = silent,
) -> Posterior:
    """Learn to hear anyone in the donor's terms: the latents first, then also that the donor's decoder makes the
    original of them; see `train` for `folder`."""
    torch.manual_seed(options.seed)
    posterior = Posterior()
    decoder = deepcopy(donor.dec).requires_grad_(False).to(torch_device(refining.device))

    def latents(model: nn.Module, batch: Batch) -> Tensor:
        mean, log_deviation = model(batch["magnitudes"])
        return _surprise(batch["z"], mean, log_deviation)

    def sound(model: nn.Module, batch: Batch) -> Tensor:
        mean, log_deviation = model(batch["magnitudes"])
        drawn = mean + torch.randn_like(mean) * log_deviation.exp()
        spoken = decoder(drawn[:, :, _MIDDLE]).float()
        heard = mel_distance(spoken, batch["samples"][:, _MIDDLE.start * HOP : _MIDDLE.stop * HOP], SAMPLE_RATE / 2)
        return _N_SOUND * heard + _surprise(batch["z"], mean, log_deviation)

    for name, loss, its_options in (("latents", latents, options), ("sound", sound, refining)):
        train(
            posterior, said, loss=loss, collate=_collate, options=its_options, folder=folder / name, progress=progress
        )
    return posterior.cpu().eval()


def learn_own(
    said: Sequence[Spoken],
    *,
    folder: Path,
    options: TrainingOptions,
    progress: Progress = silent,
) -> Posterior:
    """Learn to hear the donor as they are; see `train` for `folder`."""

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return _surprise(batch["z"], *model(batch["magnitudes"]))

    torch.manual_seed(options.seed)
    posterior = Posterior()
    as_they_are = [one for one in said if one.pitch == 1.0]
    train(posterior, as_they_are, loss=loss, collate=_collate_own, options=options, folder=folder, progress=progress)
    return posterior.cpu().eval()


def _surprise(z: Tensor, mean: Tensor, log_deviation: Tensor) -> Tensor:
    """Negative log likelihood of the latents, per value and but for a constant."""
    return (log_deviation + 0.5 * ((z - mean) * torch.exp(-log_deviation)).square()).mean()


def _collate(said: Sequence[Spoken], rng: np.random.Generator) -> Batch:
    """One crop of each, through a vocal tract and a microphone drawn at random; with its latents and its original."""
    magnitudes, latents, originals = [], [], []
    for one in said:
        start = int(rng.integers(0, one.z.shape[1] - N_FRAMES))
        crop = slice(start * HOP, (start + N_FRAMES) * HOP)
        spectrum = spectrogram(torch.from_numpy(one.samples[crop] * np.float32(rng.uniform(0.6, 1.5)))[None])
        if rng.random() < 0.8:
            spectrum = move_formants(spectrum, rng.uniform(*_FORMANTS) / one.pitch)
        magnitudes.append(_through_microphone(spectrum, rng)[0])
        latents.append(one.z[:, start : start + N_FRAMES])
        originals.append(torch.from_numpy(one.original[crop]))
    return {"magnitudes": torch.stack(magnitudes), "z": torch.stack(latents), "samples": torch.stack(originals)}


def _collate_own(said: Sequence[Spoken], rng: np.random.Generator) -> Batch:
    """One crop of each at another level, half of them through a microphone drawn at random; with its latents."""
    magnitudes, latents = [], []
    for one in said:
        start = int(rng.integers(0, one.z.shape[1] - N_FRAMES))
        crop = one.samples[start * HOP : (start + N_FRAMES) * HOP]
        spectrum = spectrogram(torch.from_numpy(crop * np.float32(rng.uniform(0.6, 1.4)))[None])
        magnitudes.append((_through_microphone(spectrum, rng) if rng.random() < 0.5 else spectrum)[0])
        latents.append(one.z[:, start : start + N_FRAMES])
    return {"magnitudes": torch.stack(magnitudes), "z": torch.stack(latents)}


def _through_microphone(magnitudes: Tensor, rng: np.random.Generator) -> Tensor:
    """A smooth colour over the frequencies, and often nothing above some of them."""
    points = rng.uniform(-0.5, 0.5, 8)
    colour = np.interp(np.linspace(0, 7, N_BINS), np.arange(8), points)
    magnitudes = magnitudes * torch.from_numpy(np.exp(colour)).float()[:, None]
    if rng.random() < 0.5:
        magnitudes[:, int(rng.uniform(0.33, 1.0) * N_BINS) :] = 1e-5
    return magnitudes
