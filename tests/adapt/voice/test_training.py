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
from rejoinder.adapt.voice.donor import Donor, Posteriors
from rejoinder.adapt.voice.losses import Discriminators, adversarial_losses
from rejoinder.adapt.voice.model import VoiceModel
from rejoinder.adapt.voice.posterior import Posterior, Spoken, donor_speech, learn_anyone, learn_own
from rejoinder.adapt.voice.recordings import Clip
from rejoinder.adapt.voice.spectra import spectrogram
from rejoinder.adapt.voice.training import SpeakerTraining, VoiceRecipe, learn_rhythm, learn_sound, learn_voice, lessons

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


def test_the_donor_s_posteriors_are_learnt_from_its_speech(donor: Donor, tmp_path: Path) -> None:
    said = donor_speech(donor.model, [donor.phoneme_ids("Your order is ready.")] * 2, seed=0)
    assert [one.pitch == 1.0 for one in said] == [True, False, True, False]
    assert all(len(one.samples) == len(one.original) == one.z.shape[1] * 256 for one in said)
    options = TrainingOptions(learning_rate=1e-3, n_epochs=8, batch_size=4, max_grad_norm=5.0)
    anyone = learn_anyone(donor.model, said, folder=tmp_path / "anyone", options=options, refining=options)
    own = learn_own(said, folder=tmp_path / "own", options=options)
    for posterior in (anyone, own):
        assert distance(posterior, said[0]) < 0.97 * said[0].z.square().mean()


def distance(posterior: Posterior, said: Spoken) -> float:
    """Mean square of what a posterior hears against the latents."""
    with torch.no_grad():
        mean, _ = posterior(spectrogram(torch.from_numpy(said.samples)[None]))
    return float((mean[0] - said.z).square().mean())


def test_another_process_opens_the_donor_itself(donor: Donor) -> None:
    again = pickle.loads(pickle.dumps(donor))
    assert again.folder == donor.folder
    assert again.phoneme_ids("Good morning.") == donor.phoneme_ids("Good morning.")


def test_the_sound_changes_with_its_loss_and_nothing_else(donor: Donor, clips: Sequence[Clip], tmp_path: Path) -> None:
    voice, posterior = copy_of(donor.model), Posterior().eval()
    training = SpeakerTraining(voice, posterior, adversarial=True)
    learnt = lessons(voice, posterior, clips)
    assert all(int(lesson.durations.sum()) == clip.n_frames for lesson, clip in zip(learnt, clips, strict=True))
    result = learn_sound(training, learnt, highest_hz=7_000.0, options=OPTIONS, folder=tmp_path)
    assert result.losses[-1] < result.losses[0]
    assert changed(donor.model, voice) == {"dec", "flow", "enc_p"}
    encoder = {name for name, weight in voice.enc_p.named_parameters() if weight.requires_grad}
    assert encoder == {"proj.weight", "proj.bias"}


def test_the_rhythm_comes_nearer_to_the_speaker_s(donor: Donor, clips: Sequence[Clip], tmp_path: Path) -> None:
    voice, posterior = copy_of(donor.model), Posterior().eval()
    options = TrainingOptions(learning_rate=5e-4, n_epochs=8, batch_size=1, warmup_share=0.01)
    result = learn_rhythm(voice, lessons(voice, posterior, clips), options=options, folder=tmp_path)
    assert np.mean(result.losses[-2:]) < result.losses[0]
    assert changed(donor.model, voice) == {"dp"}


def test_an_interrupted_training_goes_on_where_it_was(donor: Donor, clips: Sequence[Clip], tmp_path: Path) -> None:
    recipe = VoiceRecipe(batch_size=1)

    def learnt(folder: Path, stop_at: int | None) -> dict[str, Tensor]:
        steps: list[tuple[int, int, str]] = []

        def progress(task: str, n_done: int, n_total: int, note: str = "") -> None:
            if task == "training":
                steps.append((n_done, n_total, note))
                if len(steps) == stop_at:
                    os.kill(os.getpid(), signal.SIGINT)

        torch.manual_seed(0)
        voice = copy_of(donor.model)
        posteriors = Posteriors(Posterior().eval(), Posterior().eval())
        learn_voice(voice, posteriors, clips[:1], highest_hz=7_000.0, recipe=recipe, folder=folder, progress=progress)
        return voice.state_dict()

    whole = learnt(tmp_path / "whole", None)
    with pytest.raises(KeyboardInterrupt):
        learnt(tmp_path / "cut", 4)
    resumed = learnt(tmp_path / "cut", None)
    assert all(torch.allclose(whole[name], resumed[name], atol=1e-6) for name in whole)


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
