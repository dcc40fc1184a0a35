"""The pretrained voice that a new one is started from, and the decoder that is learnt from it once."""

import hashlib
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rejoinder import models
from rejoinder.acoustics import speech_rms
from rejoinder.adapt.carriers import general_sentences
from rejoinder.adapt.trainer import TrainingOptions
from rejoinder.adapt.voice.crops import N_FRAMES
from rejoinder.adapt.voice.model import VoiceModel
from rejoinder.adapt.voice.sound import Sound
from rejoinder.adapt.voice.source_filter import SourceFilterDecoder
from rejoinder.adapt.voice.texts import practice_sentences
from rejoinder.adapt.voice.training import Saying, learn_decoder
from rejoinder.progress import Progress, silent
from rejoinder.tts.ipa import Alphabet
from rejoinder.tts.phonemizer import Phonemizer
from rejoinder.tts.vits import read_config, voice_file

VERSION = 5
"""To be raised when the way decoders are learnt changes: those in the cache are then learnt anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderRecipe:
    """How a decoder is learnt from a donor."""

    n_texts: int = 360
    """Everyday sentences that the donor says: about ten minutes."""
    n_epochs: int = 16
    learning_rate: float = 2e-3
    batch_size: int = 8
    average: float = 0.99


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

    def decoder(
        self, *, recipe: DecoderRecipe = DecoderRecipe(), device: str = "auto", progress: Progress = silent
    ) -> SourceFilterDecoder:
        """One that can learn another speaker: from the cache folder if this voice was a donor before, else learnt."""
        digest = hashlib.sha256(voice_file(self.folder).read_bytes() + f"{VERSION}\n{recipe}".encode()).hexdigest()
        place = models.cache_folder() / "donors"
        path, work = place / f"{digest[:16]}.safetensors", place / f"{digest[:16]}.work"
        torch.manual_seed(0)
        decoder = SourceFilterDecoder().eval()
        with suppress(OSError, SafetensorError, RuntimeError):  # not there or damaged: it is learnt anew
            decoder.load_state_dict(load_file(path))
            return decoder
        options = TrainingOptions(
            learning_rate=recipe.learning_rate,
            n_epochs=recipe.n_epochs,
            batch_size=recipe.batch_size,
            average=recipe.average,
            max_grad_norm=50.0,
            weight_decay=0.0,
            device=device,
        )
        said = sayings(self.model, [self.phoneme_ids(text) for text in practice_sentences(recipe.n_texts)], progress)
        learn_decoder(decoder, said, options=options, folder=work, progress=progress)
        decoder.cpu().eval()
        _keep(decoder, path)
        shutil.rmtree(work, ignore_errors=True)
        return decoder


def sayings(voice: VoiceModel, texts: list[tuple[int, ...]], progress: Progress = silent) -> list[Saying]:
    """Have the donor say `texts` (phoneme ids), faster and slower; what is shorter than a crop is left out."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    said = []
    for n, ids in enumerate(texts):
        made = voice.speak(torch.tensor(ids), noise=float(rng.uniform(0.2, 0.8)), length=rng.uniform(0.9, 1.5))
        if made.z.shape[1] >= N_FRAMES:
            said.append(Saying(Sound.of(made.samples.numpy()), made.z))
        progress("speaking as the donor", n + 1, len(texts))
    return said


def _keep(decoder: SourceFilterDecoder, path: Path) -> None:
    """Write it whole or not at all; a cache that is full or read-only costs the time to learn it again."""
    with suppress(OSError, SafetensorError), tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        file = Path(scratch) / path.name
        save_file({name: tensor.contiguous() for name, tensor in decoder.state_dict().items()}, file)
        file.replace(path)
