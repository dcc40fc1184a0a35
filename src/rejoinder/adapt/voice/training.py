"""Teaching a voice to be another speaker: the sound, twice, the second time with recordings that are aligned by what
the first one learnt, then the rhythm.

The decoder is learnt from the latents that the text gives, through the flow, and not from those of a posterior encoder
as VITS does with days of a GPU: what is learnt is then what is spoken. With ten minutes of recordings and an hour of a
CPU the other way gave voices that were misheard in a quarter of the words. Both times it starts from the donor. What
that knew is kept by replaying it (see `replay`), and by changing the flow, which knows the sounds of speech, less than
the decoder.
"""

import hashlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rejoinder.adapt.trainer import Batch, TrainingOptions, TrainingResult, train
from rejoinder.adapt.voice.alignment import match
from rejoinder.adapt.voice.crops import N_FRAMES, crops, n_crops, spread, start_of_crop
from rejoinder.adapt.voice.losses import (
    Discriminators,
    adversarial_losses,
    mel_distance,
    pitch_distance,
    spectral_distance,
)
from rejoinder.adapt.voice.model import HOP, SAMPLE_RATE, VoiceModel
from rejoinder.adapt.voice.recordings import Clip
from rejoinder.adapt.voice.replay import CROPS_PER_LESSON, Replay, crops_of_donor, forgotten, replays
from rejoinder.adapt.voice.sound import Sound
from rejoinder.adapt.voice.source_filter import MIDDLE_HZ, SourceFilterDecoder, speak
from rejoinder.progress import Progress, silent

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
    n_epochs: int = 6
    """The same from the donor once more, with the recordings aligned as the voice has learnt to speak."""
    n_rhythm_epochs: int = 1
    """Of the durations."""
    batch_size: int = 8
    learning_rate: float = 6e-4
    """Of the decoder."""
    flow_rate: float = 1e-4
    """Of flow and prior, which forget soonest: 13.2% of the words misheard at the decoder's rate, 9.8% at this."""
    rhythm_rate: float = 2e-4
    replay_weight: float = 10.0
    """Of what the decoder is to keep of the donor's: without it 14.8% of the words were misheard, with it 13.2%."""
    donor_share: float = 0.15
    """How much of the way the weights that all speakers share go back to the donor's after each training of the sound
    (Wortsman et al., 2022, "Robust fine-tuning of zero-shot models"): 8.5% of the words misheard at 0, 7.9% at 0.1,
    6.9% at 0.2, where the pitch goes back, too."""
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

    def of_sound(self, n_epochs: int) -> TrainingOptions:
        """One of the two trainings of the sound."""
        rates = dict.fromkeys(("voice.flow.", "voice.enc_p."), self.flow_rate)
        return replace(self._options(self.learning_rate, n_epochs), rates=rates, batch_size=self.batch_size)

    def of_rhythm(self) -> TrainingOptions:
        """The training of the durations."""
        return self._options(self.rhythm_rate, self.n_rhythm_epochs)

    def _options(self, learning_rate: float, n_epochs: int) -> TrainingOptions:
        return TrainingOptions(
            learning_rate=learning_rate,
            n_epochs=n_epochs,
            batch_size=1,
            max_grad_norm=_MOST_GRADIENT,
            weight_decay=0.0,
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


@dataclass(frozen=True, slots=True)
class Schooling:
    """What the sound is learnt from."""

    lessons: Sequence[Lesson]
    replayed: Sequence[Replay]
    highest_hz: float
    """Up to which the recordings hold sound."""
    replay_weight: float

    @property
    def digest(self) -> str:
        """Another one where the recordings are aligned otherwise or the loss is another."""
        durations = torch.cat([lesson.durations for lesson in self.lessons])
        told = f"{self.highest_hz} {self.replay_weight} {len(self.replayed)}"
        return hashlib.sha256(durations.numpy().tobytes() + told.encode()).hexdigest()


class SpeakerTraining(nn.Module):
    """What is trained together: all that makes the sound. The text encoder's own layers and the durations stay.

    `donor_timbre` is trained along, only to answer what is replayed, and thrown away.
    """

    def __init__(self, voice: VoiceModel, adversarial: bool) -> None:
        super().__init__()
        assert isinstance(voice.dec, SourceFilterDecoder)
        self.voice = voice
        self.donor_timbre = deepcopy(voice.dec.timbre)
        self.discriminators = Discriminators() if adversarial else None
        self.requires_grad_(False)
        for part in (voice.dec, voice.flow, voice.enc_p.proj, self.donor_timbre, self.discriminators):
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
        starts = [start_of_crop(one.sound.n_frames, rng) for one in some]
        latents = [one.z[:, start : start + N_FRAMES] for one, start in zip(some, starts, strict=True)]
        return {"z": torch.stack(latents), **crops([one.sound for one in some], starts)}

    examples = [one for one in said for _ in range(n_crops(one.sound))]
    return train(decoder, examples, loss=loss, collate=collate, options=options, folder=folder, progress=progress)


def learn_voice(
    voice: VoiceModel,
    clips: Sequence[Clip],
    texts: Sequence[Sequence[int]],
    *,
    highest_hz: float,
    recipe: VoiceRecipe,
    folder: Path,
    progress: Progress = silent,
) -> None:
    """Teach `voice` in place to be the speaker of `clips`, whose recordings hold sound up to `highest_hz`.

    Its decoder is a `SourceFilterDecoder`, and `texts` (phoneme ids) are what is replayed (see `replay`). `folder`
    holds the checkpoints: the same call goes on where an earlier one was cut short.
    """
    sounds = [Sound.of(clip.samples) for clip in clips]
    replayed = replays(voice, texts, progress)
    first, donor_weights = deepcopy(voice), deepcopy(voice.state_dict())
    learnt = lessons(voice, clips, sounds, progress)
    for n, (model, n_epochs) in enumerate(((first, recipe.n_first_epochs), (voice, recipe.n_epochs)), start=1):
        torch.manual_seed(recipe.seed)  # of the discriminators' first weights
        learn_sound(
            SpeakerTraining(model, recipe.adversarial),
            Schooling(learnt, replayed, highest_hz, recipe.replay_weight),
            options=recipe.of_sound(n_epochs),
            folder=folder / f"sound-{n}",
            progress=progress,
        )
        model.cpu().eval()
        _go_back(model, donor_weights, recipe.donor_share)
        learnt = lessons(model, clips, sounds, progress)
    learn_rhythm(voice, learnt, options=recipe.of_rhythm(), folder=folder / "rhythm", progress=progress)
    voice.cpu().eval()


def _go_back(voice: VoiceModel, donor_weights: Mapping[str, Tensor], share: float) -> None:
    """Move what is not the speaker's timbre towards the donor's weights."""
    with torch.no_grad():
        for name, weight in voice.named_parameters():
            if not name.startswith("dec.timbre."):
                weight.lerp_(donor_weights[name], share)


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
        made.append(Lesson(sound, said.hidden, torch.from_numpy(durations)))
        progress("aligning recordings", n + 1, len(clips))
    return made


def learn_sound(
    training: SpeakerTraining,
    schooling: Schooling,
    *,
    options: TrainingOptions,
    folder: Path,
    progress: Progress = silent,
) -> TrainingResult:
    """Train on crops of the lessons, and of what is replayed; see `trainer.train` for `folder`."""

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(model, SpeakerTraining)
        voice = model.voice
        assert isinstance(voice.dec, SourceFilterDecoder)
        mean, _ = voice.enc_p.prior(torch.cat([batch["hidden"], batch["donor hidden"]]))
        z, n = voice.flow.inverse(mean), len(batch["hidden"])
        total, spoken, recorded = _reconstruction(voice.dec, z[:n], batch, highest_hz=schooling.highest_hz)
        octaves, knots = voice.dec.filters_of(z[n:], model.donor_timbre)
        total = total + schooling.replay_weight * forgotten(octaves, knots, batch)
        if model.discriminators is not None:
            total = total + sum(adversarial_losses(model.discriminators, spoken, recorded))
        return total

    def collate(some: Sequence[Lesson], rng: np.random.Generator) -> Batch:
        starts = [start_of_crop(lesson.sound.n_frames, rng) for lesson in some]
        hidden = [spread(lesson.hidden, lesson.durations, start) for lesson, start in zip(some, starts, strict=True)]
        recorded = crops([lesson.sound for lesson in some], starts)
        of_donor = crops_of_donor(schooling.replayed, max(1, round(CROPS_PER_LESSON * len(some))), rng)
        return {"hidden": torch.stack(hidden), **recorded, **of_donor}

    examples = [lesson for lesson in schooling.lessons for _ in range(n_crops(lesson.sound))]
    return train(
        training,
        examples,
        loss=loss,
        collate=collate,
        options=options,
        folder=folder,
        key=schooling.digest,
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
