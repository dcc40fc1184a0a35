"""The pretrained voice that a new one is started from, and the posterior encoder that is learnt from it once."""

import hashlib
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rejoinder import models
from rejoinder.acoustics import speech_rms
from rejoinder.adapt.carriers import general_sentences
from rejoinder.adapt.trainer import TrainingOptions
from rejoinder.adapt.voice.model import VoiceModel
from rejoinder.adapt.voice.posterior import Posterior, donor_speech, learn
from rejoinder.progress import Progress, silent
from rejoinder.tts.ipa import Alphabet
from rejoinder.tts.phonemizer import Phonemizer
from rejoinder.tts.vits import read_config, voice_file

VERSION = 1
"""To be raised when the way a posterior is learnt changes: those in the cache are then learnt anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PosteriorRecipe:
    """How a donor's posterior encoder is learnt."""

    n_texts: int = 110
    """Everyday sentences that the donor says: about seven minutes."""
    n_latent_epochs: int = 22
    """Of learning its latents."""
    n_sound_epochs: int = 4
    """Of learning what its decoder makes of them."""


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

    def phoneme_ids(self, text: str) -> tuple[int, ...]:
        """What the network is given to say `text`."""
        return self._alphabet.encode(self._phonemizer.phonemize(text))

    def level(self) -> float:
        """RMS of the voice while it speaks: the level that a speaker's recordings are brought to."""
        torch.manual_seed(0)
        said = [self.model.speak(torch.tensor(self.phoneme_ids(text))) for text in general_sentences(3)]
        return float(np.median([speech_rms(one.samples.numpy()) for one in said]))

    def posterior(
        self, *, recipe: PosteriorRecipe = PosteriorRecipe(), device: str = "auto", progress: Progress = silent
    ) -> Posterior:
        """The posterior encoder, from the cache folder if this voice was a donor before; else it is learnt."""
        digest = hashlib.sha256(voice_file(self.folder).read_bytes() + f"{VERSION}\n{recipe}".encode()).hexdigest()
        place = models.cache_folder() / "donors"
        path, work = place / f"{digest[:16]}.safetensors", place / f"{digest[:16]}.work"
        posterior = Posterior()
        with suppress(OSError, SafetensorError, RuntimeError):  # not there or damaged: it is learnt anew
            posterior.load_state_dict(load_file(path))
            return posterior.eval()
        ids = [self.phoneme_ids(text) for text in general_sentences(recipe.n_texts, seed=1)]
        said = donor_speech(self.model, ids, seed=0, progress=progress)
        posterior = learn(
            self.model,
            said,
            folder=work,
            options=_options(1e-3, recipe.n_latent_epochs, batch_size=8, max_grad_norm=5.0, device=device),
            refining=_options(5e-4, recipe.n_sound_epochs, batch_size=4, max_grad_norm=20.0, device=device),
            progress=progress,
        )
        _keep(posterior, path)
        shutil.rmtree(work, ignore_errors=True)
        return posterior


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


def _keep(posterior: Posterior, path: Path) -> None:
    """Write it whole or not at all; a cache that is full or read-only costs the time to learn it again."""
    with suppress(OSError, SafetensorError), tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        file = Path(scratch) / path.name
        save_file({name: tensor.contiguous() for name, tensor in posterior.state_dict().items()}, file)
        file.replace(path)
