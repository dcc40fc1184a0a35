"""The pretrained voice that a new one is started from, and the posterior encoders that are learnt from it once."""

import hashlib
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from rejoinder import models
from rejoinder.acoustics import speech_rms
from rejoinder.adapt.carriers import general_sentences
from rejoinder.adapt.trainer import TrainingOptions
from rejoinder.adapt.voice.model import VoiceModel
from rejoinder.adapt.voice.posterior import Posterior, donor_speech, learn_anyone, learn_own
from rejoinder.progress import Progress, silent
from rejoinder.tts.ipa import Alphabet
from rejoinder.tts.phonemizer import Phonemizer
from rejoinder.tts.vits import read_config, voice_file

VERSION = 2
"""To be raised when the way posteriors are learnt changes: those in the cache are then learnt anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PosteriorRecipe:
    """How a donor's posterior encoders are learnt."""

    n_texts: int = 110
    """Everyday sentences that the donor says: about seven minutes."""
    n_latent_epochs: int = 22
    """Of learning its latents."""
    n_sound_epochs: int = 4
    """Of learning what its decoder makes of them."""
    n_own_epochs: int = 20
    """Of learning to hear the donor as they are."""


@dataclass(frozen=True, slots=True)
class Posteriors:
    """What hears for a donor; see `posterior`."""

    anyone: Posterior
    """Hears anyone in the donor's terms."""
    own: Posterior
    """Hears the donor as they are."""


@dataclass(frozen=True, slots=True)
class Donor:
    """A voice of Piper's medium quality, opened for training."""

    folder: Path
    model: VoiceModel
    _alphabet: Alphabet
    _phonemizer: Phonemizer

    @classmethod
    def load(cls, folder: Path | None = None) -> "Donor":
        """Open the one voice in `folder` (None: the packaged "joe").

        Raises `ModelError` when it is missing or not English, `AdaptError` when it is of another kind.
        """
        folder = folder or models.resolve("joe")
        path = voice_file(folder)
        alphabet = Alphabet.read(read_config(path), path)
        return cls(folder, VoiceModel.load(path), alphabet, Phonemizer.load(models.resolve("hibari")))

    def __reduce__(self) -> tuple[Any, ...]:
        return Donor.load, (self.folder,)  # another process opens it itself

    def phoneme_ids(self, text: str) -> tuple[int, ...]:
        """What the network is given to say `text`."""
        return self._alphabet.encode(self._phonemizer.phonemize(text))

    def level(self) -> float:
        """RMS of the voice while it speaks: the level that a speaker's recordings are brought to."""
        torch.manual_seed(0)
        said = [self.model.speak(torch.tensor(self.phoneme_ids(text))) for text in general_sentences(3)]
        return float(np.median([speech_rms(one.samples.numpy()) for one in said]))

    def posteriors(
        self, *, recipe: PosteriorRecipe = PosteriorRecipe(), device: str = "auto", progress: Progress = silent
    ) -> Posteriors:
        """The posterior encoders, from the cache folder if this voice was a donor before; else they are learnt."""
        digest = hashlib.sha256(voice_file(self.folder).read_bytes() + f"{VERSION}\n{recipe}".encode()).hexdigest()
        place = models.cache_folder() / "donors"
        path, work = place / f"{digest[:16]}.safetensors", place / f"{digest[:16]}.work"
        found = Posteriors(Posterior().eval(), Posterior().eval())
        with suppress(OSError, SafetensorError, RuntimeError):  # not there or damaged: they are learnt anew
            _both(found).load_state_dict(load_file(path))
            return found
        ids = [self.phoneme_ids(text) for text in general_sentences(recipe.n_texts, seed=1)]
        said = donor_speech(self.model, ids, seed=0, progress=progress)
        latents = _options(1e-3, recipe.n_latent_epochs, batch_size=8, max_grad_norm=5.0, device=device)
        found = Posteriors(
            learn_anyone(
                self.model,
                said,
                folder=work,
                options=latents,
                refining=_options(5e-4, recipe.n_sound_epochs, batch_size=4, max_grad_norm=20.0, device=device),
                progress=progress,
            ),
            learn_own(
                said, folder=work / "own", options=replace(latents, n_epochs=recipe.n_own_epochs), progress=progress
            ),
        )
        _keep(_both(found), path)
        shutil.rmtree(work, ignore_errors=True)
        return found


def _both(posteriors: Posteriors) -> nn.ModuleDict:
    return nn.ModuleDict({"anyone": posteriors.anyone, "own": posteriors.own})


def _options(
    learning_rate: float, n_epochs: int, *, batch_size: int, max_grad_norm: float, device: str
) -> TrainingOptions:
    return TrainingOptions(
        learning_rate=learning_rate,
        n_epochs=n_epochs,
        batch_size=batch_size,
        max_grad_norm=max_grad_norm,
        weight_decay=0.0,
        device=device,
    )


def _keep(posteriors: nn.Module, path: Path) -> None:
    """Write it whole or not at all; a cache that is full or read-only costs the time to learn it again."""
    with suppress(OSError, SafetensorError), tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        file = Path(scratch) / path.name
        save_file({name: tensor.contiguous() for name, tensor in posteriors.state_dict().items()}, file)
        file.replace(path)
