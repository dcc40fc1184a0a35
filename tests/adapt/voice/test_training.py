"""A few steps of each training: losses fall, what is frozen stays, and an interrupted one ends as an uninterrupted."""

import os
import pickle
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rejoinder.adapt.trainer import TrainingOptions
from rejoinder.adapt.voice.donor import Donor, sayings
from rejoinder.adapt.voice.losses import Discriminators, adversarial_losses
from rejoinder.adapt.voice.model import HOP, VoiceModel
from rejoinder.adapt.voice.recordings import Clip
from rejoinder.adapt.voice.replay import replays
from rejoinder.adapt.voice.sound import Sound
from rejoinder.adapt.voice.source_filter import SourceFilterDecoder
from rejoinder.adapt.voice.training import (
    Lesson,
    Schooling,
    SpeakerTraining,
    VoiceRecipe,
    learn_decoder,
    learn_rhythm,
    learn_sound,
    learn_voice,
    lessons,
)

pytestmark = pytest.mark.model

OPTIONS = TrainingOptions(learning_rate=3e-4, n_epochs=3, batch_size=2, max_grad_norm=50.0, warmup_share=0.01)


def copy_of(model: VoiceModel) -> VoiceModel:
    copied = VoiceModel()
    copied.load_state_dict(model.state_dict())
    return copied.eval()


def changed(before: VoiceModel, after: VoiceModel) -> set[str]:
    """Names of the parts of which some weight differs."""
    was = before.state_dict()
    return {
        ".".join(name.split(".")[:1]) for name, now in after.state_dict().items() if not torch.equal(was[name], now)
    }


def test_a_decoder_learns_what_the_donor_s_makes_of_its_latents(donor: Donor, tmp_path: Path) -> None:
    said = sayings(donor.model, [donor.phoneme_ids("Your order is ready.")] * 2)
    assert all(one.sound.samples.shape == (one.z.shape[1] * HOP,) for one in said)
    options = TrainingOptions(learning_rate=2e-3, n_epochs=6, batch_size=2, max_grad_norm=50.0, warmup_share=0.01)
    result = learn_decoder(SourceFilterDecoder(), said, options=options, folder=tmp_path)
    assert result.losses[-1] < 0.8 * result.losses[0]


def test_another_process_opens_the_donor_itself(donor: Donor) -> None:
    again = pickle.loads(pickle.dumps(donor))
    assert again.folder == donor.folder
    assert again.phoneme_ids("Good morning.") == donor.phoneme_ids("Good morning.")


def a_beginner(donor: Donor) -> VoiceModel:
    """The donor with a decoder that has learnt nothing yet."""
    torch.manual_seed(0)
    voice = copy_of(donor.model)
    voice.dec = SourceFilterDecoder().eval()
    return voice


def texts(donor: Donor) -> list[tuple[int, ...]]:
    """What is replayed."""
    return [donor.phoneme_ids("Your order is ready."), donor.phoneme_ids("We close at six in the evening.")]


def lessons_of(donor: Donor, clips: Sequence[Clip]) -> list[Lesson]:
    return lessons(donor.model, clips, [Sound.of(clip.samples) for clip in clips])


def test_the_sound_changes_with_its_loss_and_nothing_else(donor: Donor, clips: Sequence[Clip], tmp_path: Path) -> None:
    voice, before = a_beginner(donor), a_beginner(donor)
    learnt = lessons_of(donor, clips)
    assert all(int(lesson.durations.sum()) == clip.n_frames for lesson, clip in zip(learnt, clips, strict=True))
    training = SpeakerTraining(voice, adversarial=True)
    schooling = Schooling(learnt, replays(before, texts(donor)), 7_000.0, 10.0)
    result = learn_sound(training, schooling, options=OPTIONS, folder=tmp_path)
    assert result.losses[-1] < result.losses[0]
    assert isinstance(voice.dec, SourceFilterDecoder)
    assert not torch.equal(training.donor_timbre.filters.weight, voice.dec.timbre.filters.weight)
    assert changed(before, voice) == {"dec", "flow", "enc_p"}
    encoder = {name for name, weight in voice.enc_p.named_parameters() if weight.requires_grad}
    assert encoder == {"proj.weight", "proj.bias"}


def test_the_rhythm_comes_nearer_to_the_speaker_s(donor: Donor, clips: Sequence[Clip], tmp_path: Path) -> None:
    voice = copy_of(donor.model)
    options = TrainingOptions(learning_rate=5e-4, n_epochs=8, batch_size=1, warmup_share=0.01)
    result = learn_rhythm(voice, lessons_of(donor, clips), options=options, folder=tmp_path)
    assert np.mean(result.losses[-2:]) < result.losses[0]
    assert changed(donor.model, voice) == {"dp"}


def test_an_interrupted_training_goes_on_where_it_was(donor: Donor, clips: Sequence[Clip], tmp_path: Path) -> None:
    recipe = VoiceRecipe(batch_size=1, n_first_epochs=2, n_epochs=2)

    def learnt(folder: Path, stop_at: int | None) -> dict[str, Tensor]:
        steps: list[tuple[int, int, str]] = []

        def progress(task: str, n_done: int, n_total: int, note: str = "") -> None:
            if task == "training":
                steps.append((n_done, n_total, note))
                if len(steps) == stop_at:
                    os.kill(os.getpid(), signal.SIGINT)

        voice = a_beginner(donor)
        learn_voice(voice, clips[:1], texts(donor), highest_hz=7_000.0, recipe=recipe, folder=folder, progress=progress)
        return voice.state_dict()

    whole = learnt(tmp_path / "whole", None)
    for _ in ("the first training of the sound", "the second", "the rhythm"):
        with pytest.raises(KeyboardInterrupt):
            learnt(tmp_path / "cut", 3)
    assert {folder.name for folder in (tmp_path / "cut").iterdir()} == {"sound-1", "sound-2", "rhythm"}
    resumed = learnt(tmp_path / "cut", None)
    assert all(torch.allclose(whole[name], resumed[name], atol=1e-6) for name in whole)


def test_flow_and_prior_are_changed_at_their_own_rate(donor: Donor, clips: Sequence[Clip], tmp_path: Path) -> None:
    voice, before = a_beginner(donor), a_beginner(donor)
    schooling = Schooling(lessons_of(donor, clips), replays(before, texts(donor)), 7_000.0, 10.0)
    options = VoiceRecipe(batch_size=3, flow_rate=0.0).of_sound(1)
    learn_sound(SpeakerTraining(voice, adversarial=False), schooling, options=options, folder=tmp_path)
    assert changed(before, voice) == {"dec"}


def test_what_speakers_share_goes_back_to_the_donor_s(donor: Donor, clips: Sequence[Clip], tmp_path: Path) -> None:
    recipe = VoiceRecipe(
        batch_size=1, n_first_epochs=1, n_epochs=1, n_rhythm_epochs=1, rhythm_rate=1e-12, donor_share=1.0
    )
    voice, before = a_beginner(donor), a_beginner(donor).state_dict()
    learn_voice(voice, clips[:1], texts(donor), highest_hz=7_000.0, recipe=recipe, folder=tmp_path)
    moved = {name for name, now in voice.state_dict().items() if not torch.allclose(now, before[name], atol=1e-6)}
    assert moved
    assert all(name.startswith("dec.timbre.") for name in moved)


def test_each_side_of_the_adversarial_loss_trains_its_own_weights() -> None:
    torch.manual_seed(0)
    judges = Discriminators()
    spoken, recorded = torch.randn(1, 4096, requires_grad=True), torch.randn(1, 4096)

    def reaches(loss: Tensor) -> tuple[bool, bool]:
        weights = list(judges.parameters())
        gradients = torch.autograd.grad(loss, [spoken, *weights], allow_unused=True, retain_graph=True)
        return gradients[0] is not None, any(gradient is not None for gradient in gradients[1:])

    judging, speaking = adversarial_losses(judges, spoken, recorded)
    assert reaches(judging) == (False, True)
    assert reaches(speaking) == (True, False)
