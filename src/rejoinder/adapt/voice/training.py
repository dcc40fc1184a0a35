"""Teaching a donor voice to be another speaker: all that makes the sound, then the rhythm."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rejoinder.adapt.trainer import Batch, TrainingOptions, TrainingResult, train
from rejoinder.adapt.voice.alignment import align
from rejoinder.adapt.voice.donor import Posteriors
from rejoinder.adapt.voice.losses import (
    Discriminators,
    adversarial_losses,
    divergence,
    mel_distance,
    spectral_distance,
)
from rejoinder.adapt.voice.model import HOP, VoiceModel
from rejoinder.adapt.voice.posterior import N_FRAMES, Posterior
from rejoinder.adapt.voice.recordings import Clip
from rejoinder.adapt.voice.spectra import spectrogram
from rejoinder.progress import Progress, silent

N_DECODED = 32
"""Frames of a crop that are decoded and compared: 0.37 s."""
_MOST_GRADIENT = 50.0  # the losses are weighted in tens
_N_CONTEXT = 4
"""Frames decoded on either side of them, and thrown away: the decoder's edges are unlike its middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceRecipe:
    """How a voice is learnt."""

    adversarial: bool = False
    """The full grade, with discriminators: for a GPU, or overnight, and with many more epochs. Without them it is the
    preview grade: reconstruction only, about 20 minutes on a CPU, and a slightly dull sound."""
    n_sound_epochs: int = 4
    """Of decoder, posterior, flow and prior. An epoch hears about all of the recordings once."""
    n_rhythm_epochs: int = 1
    """Of the durations."""
    batch_size: int = 4
    learning_rate: float = 2e-4
    rhythm_rate: float = 2e-4
    average: float = 0.99
    noise: float = 0.4
    """Of the finished voice; the donor's is 0.667. Less is duller and better understood."""
    noise_w: float = 0.5
    """Of its rhythm; the donor's is 0.8."""
    seed: int = 0
    device: str = "auto"

    @property
    def grade(self) -> str:
        """ "preview" or "full"."""
        return "full" if self.adversarial else "preview"


@dataclass(frozen=True, slots=True)
class Lesson:
    """One clip with what stays the same while it is learnt."""

    samples: Tensor
    """(n_frames * HOP,)"""
    hidden: Tensor
    """The text encoder's states, (N_CHANNELS, n_ids)."""
    durations: Tensor
    """Frames of each phoneme id, (n_ids,)."""


class SpeakerTraining(nn.Module):
    """What is trained together: all that makes the sound. The text encoder's own layers and the durations stay."""

    def __init__(self, voice: VoiceModel, posterior: Posterior, adversarial: bool) -> None:
        super().__init__()
        self.voice = voice
        self.posterior = posterior
        self.discriminators = Discriminators() if adversarial else None

        self.requires_grad_(False)
        sounding = (voice.dec, voice.flow, voice.enc_p.proj, posterior)
        for part in (*sounding, *([self.discriminators] if self.discriminators is not None else [])):
            part.requires_grad_(True)


def lessons(
    voice: VoiceModel, posterior: Posterior, clips: Sequence[Clip], progress: Progress = silent
) -> list[Lesson]:
    """Align each clip with its phonemes by a posterior that hears anyone, on the CPU."""
    made = []
    for n, clip in enumerate(clips):
        samples = torch.from_numpy(clip.samples)
        with torch.no_grad():
            hidden = voice.enc_p(torch.tensor([clip.ids]))[0]
        made.append(Lesson(samples, hidden, align(voice, posterior, samples, hidden)))
        progress("aligning recordings", n + 1, len(clips))
    return made


def learn_voice(
    voice: VoiceModel,
    posteriors: Posteriors,
    clips: Sequence[Clip],
    *,
    highest_hz: float,
    recipe: VoiceRecipe,
    folder: Path,
    progress: Progress = silent,
) -> None:
    """Teach `voice` in place to be the speaker of `clips`, whose recordings hold sound up to `highest_hz`.

    `folder` holds the checkpoints: the same call goes on where an earlier one was cut short.
    """
    torch.manual_seed(recipe.seed)
    training = SpeakerTraining(voice, posteriors.own, recipe.adversarial)

    def options(learning_rate: float, n_epochs: int, batch_size: int) -> TrainingOptions:
        return TrainingOptions(
            learning_rate=learning_rate,
            n_epochs=n_epochs,
            batch_size=batch_size,
            max_grad_norm=_MOST_GRADIENT,
            average=recipe.average,
            seed=recipe.seed,
            device=recipe.device,
        )

    learnt = lessons(voice, posteriors.anyone, clips, progress)
    learn_sound(
        training,
        learnt,
        highest_hz=highest_hz,
        options=options(recipe.learning_rate, recipe.n_sound_epochs, recipe.batch_size),
        folder=folder / "sound",
        progress=progress,
    )
    learn_rhythm(
        voice,
        learnt,
        options=options(recipe.rhythm_rate, recipe.n_rhythm_epochs, 1),
        folder=folder / "rhythm",
        progress=progress,
    )
    voice.cpu().eval()


def learn_sound(
    training: SpeakerTraining,
    learnt: Sequence[Lesson],
    *,
    highest_hz: float,
    options: TrainingOptions,
    folder: Path,
    progress: Progress = silent,
) -> TrainingResult:
    """Train on crops of the lessons; see `trainer.train` for `folder`."""

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(model, SpeakerTraining)
        voice, recorded = model.voice, batch["samples"]
        mean, log_deviation = model.posterior(spectrogram(recorded))
        z = mean + torch.randn_like(mean) * log_deviation.exp()
        first = (N_FRAMES - N_DECODED) // 2
        around = slice(first - _N_CONTEXT, first + N_DECODED + _N_CONTEXT)
        spoken = voice.dec(z[:, :, around])[:, _N_CONTEXT * HOP : -_N_CONTEXT * HOP].float()
        recorded = recorded[:, first * HOP : (first + N_DECODED) * HOP]
        total = 45 * mel_distance(spoken, recorded, highest_hz) + 5 * spectral_distance(spoken, recorded, highest_hz)
        total = total + divergence(voice.flow(z), log_deviation, voice.enc_p.prior(batch["hidden"]))
        if model.discriminators is not None:
            total = total + sum(adversarial_losses(model.discriminators, spoken, recorded))
        return total

    return train(
        training,
        list(_crops(learnt)),
        loss=loss,
        collate=_collate,
        options=options,
        folder=folder,
        progress=progress,
    )


def learn_rhythm(
    voice: VoiceModel,
    learnt: Sequence[Lesson],
    *,
    options: TrainingOptions,
    folder: Path,
    progress: Progress = silent,
) -> TrainingResult:
    """Regress the durations onto the speaker's, through the flow that draws them: each, and their sum."""
    voice.requires_grad_(False)
    voice.dp.requires_grad_(True)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(model, VoiceModel)
        durations = batch["durations"][0].float()
        noise = (
            torch.randn(1, 2, len(durations), device=durations.device) * 0.8 * torch.rand((), device=durations.device)
        )
        logs = model.dp(batch["hidden"], noise)[0]
        each = (logs - durations.clamp_min(0.5).log()).square().mean()
        total: Tensor = each + 2 * (logs.exp().sum() / durations.sum()).log().square()
        return total

    def collate(some: Sequence[Lesson], _rng: np.random.Generator) -> Batch:
        return {"hidden": some[0].hidden[None], "durations": some[0].durations[None]}

    return train(voice, learnt, loss=loss, collate=collate, options=options, folder=folder, progress=progress)


def _crops(learnt: Sequence[Lesson]) -> Iterator[Lesson]:
    """Each lesson as often as it has whole crops."""
    for lesson in learnt:
        for _ in range(max(1, round(len(lesson.samples) / HOP / N_FRAMES))):
            yield lesson


def _collate(some: Sequence[Lesson], rng: np.random.Generator) -> Batch:
    """A crop of each, from a random place on, with the hidden state of each frame's phoneme."""
    samples, hidden = [], []
    for lesson in some:
        start = int(rng.integers(0, len(lesson.samples) // HOP - N_FRAMES + 1))
        samples.append(lesson.samples[start * HOP : (start + N_FRAMES) * HOP])
        frames = torch.arange(start, start + N_FRAMES)
        phonemes = torch.searchsorted(lesson.durations.cumsum(0), frames, right=True)
        hidden.append(lesson.hidden[:, phonemes])
    return {"samples": torch.stack(samples), "hidden": torch.stack(hidden)}
