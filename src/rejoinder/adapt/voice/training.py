"""Teaching a voice to be another speaker: the sound, in two passes between which the recordings are aligned anew, then
the rhythm.

The decoder is learnt from the latents that the text gives, through the flow, and not from those of a posterior encoder
as VITS does with days of a GPU: what is learnt is then what is spoken. With ten minutes of recordings and an hour of a
CPU the other way gave voices that were misheard in a quarter of the words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rejoinder.adapt.trainer import Batch, TrainingOptions, TrainingResult, train
from rejoinder.adapt.voice.alignment import match
from rejoinder.adapt.voice.losses import (
    Discriminators,
    adversarial_losses,
    mel_distance,
    pitch_distance,
    spectral_distance,
)
from rejoinder.adapt.voice.model import HOP, SAMPLE_RATE, VoiceModel
from rejoinder.adapt.voice.recordings import N_LEAST_FRAMES, Clip
from rejoinder.adapt.voice.sound import Sound
from rejoinder.adapt.voice.source_filter import MIDDLE_HZ, SourceFilterDecoder, speak
from rejoinder.progress import Progress, silent

N_FRAMES = N_LEAST_FRAMES
"""Of a crop to train on."""
N_EDGE = 8
"""Frames at either end of a crop that are not compared, for they lack what was before or after: unless that is nothing,
as where an utterance begins and ends."""
_MOST_GRADIENT = 50.0  # the losses are weighted in tens


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceRecipe:
    """How a voice is learnt."""

    adversarial: bool = False
    """The full grade, with discriminators: for a GPU, or overnight, and with many more epochs. Without them it is the
    preview grade: reconstruction only, about 20 minutes on a CPU, and a slightly dull sound."""
    n_first_epochs: int = 4
    """Of decoder, flow and prior, with the recordings aligned as the donor speaks. An epoch hears about all of the
    recordings once."""
    n_epochs: int = 8
    """The same, with the recordings aligned as the voice has learnt to speak."""
    n_rhythm_epochs: int = 1
    """Of the durations."""
    batch_size: int = 8
    learning_rate: float = 6e-4
    rhythm_rate: float = 2e-4
    average: float = 0.98
    noise: float = 0.0
    """Of the finished voice's latents; the donor's is 0.667. It is learnt without."""
    noise_w: float = 0.3
    """Of its rhythm; the donor's is 0.8."""
    seed: int = 0
    device: str = "auto"

    @property
    def grade(self) -> str:
        """ "preview" or "full"."""
        return "full" if self.adversarial else "preview"

    def options(self, learning_rate: float, n_epochs: int, batch_size: int) -> TrainingOptions:
        """Those of one of its trainings."""
        return TrainingOptions(
            learning_rate=learning_rate,
            n_epochs=n_epochs,
            batch_size=batch_size,
            max_grad_norm=_MOST_GRADIENT,
            average=self.average,
            seed=self.seed,
            device=self.device,
        )


@dataclass(frozen=True, slots=True)
class Saying:
    """What the donor said, and from which latents."""

    sound: Sound
    z: Tensor
    """(N_CHANNELS, n_frames)"""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One recording with what stays the same while it is learnt."""

    sound: Sound
    hidden: Tensor
    """The text encoder's states, (N_CHANNELS, n_ids)."""
    durations: Tensor
    """Frames of each phoneme id, (n_ids,)."""


class SpeakerTraining(nn.Module):
    """What is trained together: all that makes the sound. The text encoder's own layers and the durations stay."""

    def __init__(self, voice: VoiceModel, adversarial: bool) -> None:
        super().__init__()
        self.voice = voice
        self.discriminators = Discriminators() if adversarial else None
        self.requires_grad_(False)
        for part in (voice.dec, voice.flow, voice.enc_p.proj, self.discriminators):
            if part is not None:
                part.requires_grad_(True)


def learn_decoder(
    decoder: SourceFilterDecoder,
    said: Sequence[Saying],
    *,
    options: TrainingOptions,
    folder: Path,
    progress: Progress = silent,
) -> TrainingResult:
    """Teach a new decoder what the donor's makes of its latents; see `trainer.train` for `folder`."""

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(model, SourceFilterDecoder)
        return _reconstruction(model, batch["z"], batch, highest_hz=SAMPLE_RATE / 2)[0]

    def collate(some: Sequence[Saying], rng: np.random.Generator) -> Batch:
        starts = [_start(one.sound, rng) for one in some]
        latents = [one.z[:, start : start + N_FRAMES] for one, start in zip(some, starts, strict=True)]
        return {"z": torch.stack(latents), **crops([one.sound for one in some], starts)}

    examples = [one for one in said for _ in range(_n_crops(one.sound))]
    return train(decoder, examples, loss=loss, collate=collate, options=options, folder=folder, progress=progress)


def learn_voice(
    voice: VoiceModel,
    clips: Sequence[Clip],
    *,
    highest_hz: float,
    recipe: VoiceRecipe,
    folder: Path,
    progress: Progress = silent,
) -> None:
    """Teach `voice` in place to be the speaker of `clips`, whose recordings hold sound up to `highest_hz`.

    Its decoder is a `SourceFilterDecoder`. `folder` holds the checkpoints: the same call goes on where an earlier one
    was cut short.
    """
    sounds = [Sound.of(clip.samples) for clip in clips]
    for n, n_epochs in enumerate((recipe.n_first_epochs, recipe.n_epochs), start=1):
        learnt = lessons(voice, clips, sounds, progress)
        torch.manual_seed(recipe.seed)  # of the discriminators' first weights
        learn_sound(
            SpeakerTraining(voice, recipe.adversarial),
            learnt,
            highest_hz=highest_hz,
            options=recipe.options(recipe.learning_rate, n_epochs, recipe.batch_size),
            folder=folder / f"sound-{n}",
            progress=progress,
        )
        voice.cpu().eval()
    learnt = lessons(voice, clips, sounds, progress)
    options = recipe.options(recipe.rhythm_rate, recipe.n_rhythm_epochs, 1)
    learn_rhythm(voice, learnt, options=options, folder=folder / "rhythm", progress=progress)
    voice.cpu().eval()


@torch.no_grad()
def lessons(
    voice: VoiceModel, clips: Sequence[Clip], sounds: Sequence[Sound], progress: Progress = silent
) -> list[Lesson]:
    """Have the voice say each clip's text, in its own rhythm at about the clip's pace, and align the two."""
    made = []
    pace = 1.0
    for n, (clip, sound) in enumerate(zip(clips, sounds, strict=True)):
        ids = torch.tensor(clip.ids)
        torch.manual_seed(n)  # so that a training that goes on finds the same borders
        said = voice.speak(ids, noise=0.0, noise_w=0.0, length=pace)
        pace = float(np.clip(pace * (clip.n_frames / len(said.samples) * HOP) ** 0.1, 0.5, 2.0))
        durations = match(Sound.of(said.samples.numpy()), said.durations.numpy(), sound)
        made.append(Lesson(sound, voice.enc_p(ids[None])[0], torch.from_numpy(durations)))
        progress("aligning recordings", n + 1, len(clips))
    return made


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
        assert isinstance(model.voice.dec, SourceFilterDecoder)
        mean, _ = model.voice.enc_p.prior(batch["hidden"])
        z = model.voice.flow.inverse(mean)
        total, spoken, recorded = _reconstruction(model.voice.dec, z, batch, highest_hz=highest_hz)
        if model.discriminators is not None:
            total = total + sum(adversarial_losses(model.discriminators, spoken, recorded))
        return total

    def collate(some: Sequence[Lesson], rng: np.random.Generator) -> Batch:
        starts = [_start(lesson.sound, rng) for lesson in some]
        hidden = []
        for lesson, start in zip(some, starts, strict=True):
            frames = torch.arange(start, start + N_FRAMES)
            hidden.append(lesson.hidden[:, torch.searchsorted(lesson.durations.cumsum(0), frames, right=True)])
        return {"hidden": torch.stack(hidden), **crops([lesson.sound for lesson in some], starts)}

    examples = [lesson for lesson in learnt for _ in range(_n_crops(lesson.sound))]
    return train(training, examples, loss=loss, collate=collate, options=options, folder=folder, progress=progress)


def learn_rhythm(
    voice: VoiceModel,
    learnt: Sequence[Lesson],
    *,
    options: TrainingOptions,
    folder: Path,
    progress: Progress = silent,
) -> TrainingResult:
    """Regress the durations onto the speaker's, through the flow that draws them: each, and their sum.

    What is drawn is rounded up when it is spoken, by half a frame at the mean: so much less is to be learnt.
    """
    voice.requires_grad_(False)
    voice.dp.requires_grad_(True)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(model, VoiceModel)
        durations = batch["durations"][0].float()
        noise = (
            torch.randn(1, 2, len(durations), device=durations.device) * 0.8 * torch.rand((), device=durations.device)
        )
        logs = model.dp(batch["hidden"], noise)[0]
        each = (logs - (durations - 0.5).clamp_min(0.5).log()).square().mean()
        total: Tensor = each + 2 * ((logs.exp() + 0.5).sum() / durations.sum()).log().square()
        return total

    def collate(some: Sequence[Lesson], _rng: np.random.Generator) -> Batch:
        return {"hidden": some[0].hidden[None], "durations": some[0].durations[None]}

    return train(voice, learnt, loss=loss, collate=collate, options=options, folder=folder, progress=progress)


def _reconstruction(
    decoder: SourceFilterDecoder, z: Tensor, batch: Batch, *, highest_hz: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of what is spoken from `z` at the recorded pitch, and both sounds, alike where nothing is compared."""
    octaves, knots = decoder.filters_of(z)
    recorded, compared = batch["samples"], batch["compared"]
    spoken = torch.where(compared.repeat_interleave(HOP, 1), speak(batch["hz"], knots).float(), recorded)
    total = 45 * mel_distance(spoken, recorded, highest_hz) + 5 * spectral_distance(spoken, recorded, highest_hz)
    recorded_octaves = (batch["hz"] / MIDDLE_HZ).log2()
    total = total + 14 * pitch_distance(octaves, recorded_octaves, batch["voiced"] * compared)
    return total, spoken, recorded


def _n_crops(sound: Sound) -> int:
    """How many whole crops an utterance has: it is learnt from as often in an epoch."""
    return max(1, round(sound.n_frames / N_FRAMES))


def _start(sound: Sound, rng: np.random.Generator) -> int:
    """Where a crop begins; as often at either end of the utterance as those frames are compared in no other."""
    last = sound.n_frames - N_FRAMES
    return int(np.clip(rng.integers(-N_EDGE, last + N_EDGE + 1), 0, last))


def crops(sounds: Sequence[Sound], starts: Sequence[int]) -> Batch:
    """`N_FRAMES` of each from a frame on, and which of them are "compared", (n_batch, N_FRAMES)."""
    cut = [sound.crop(start, N_FRAMES) for sound, start in zip(sounds, starts, strict=True)]
    compared = torch.zeros(len(sounds), N_FRAMES, dtype=torch.bool)
    for row, sound, start in zip(compared, sounds, starts, strict=True):
        row[0 if start == 0 else N_EDGE : N_FRAMES if start + N_FRAMES == sound.n_frames else -N_EDGE] = True
    return {"compared": compared, **{name: torch.stack([crop[name] for crop in cut]) for name in cut[0]}}
