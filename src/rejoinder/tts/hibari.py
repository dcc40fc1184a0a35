"""The default voice: hibari, a small convolutional synthesizer in ONNX with its own text-to-phonemes."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from rejoinder.errors import ModelError
from rejoinder.events import Samples
from rejoinder.text import clauses
from rejoinder.tts.cache import file_id, fingerprint
from rejoinder.tts.lexicon import Lexicon
from rejoinder.tts.phonemizer import Phonemizer
from rejoinder.tts.shaping import pause_after, shape

GAIN = 1.8
"""Brings the voice's speech to about -20 dBFS RMS; it comes out of the network at -25."""

MOST_PHONEMES = 400
"""Phonemes that the network takes at once; longer clauses are spoken in parts."""

_NOTHING = np.zeros(0, np.float32)
_SEED = 0  # of the noise in the voice: the same text always gives the same samples


class HibariSynthesizer:
    """Speaks with hibari. Synchronous, and safe to call from several threads at once."""

    sample_rate = 24_000

    def __init__(
        self, session: Any, phonemizer: Phonemizer, vocabulary: dict[str, int], *, speed: float, fingerprint: str
    ) -> None:
        self._session = session
        self._phonemizer = phonemizer
        self._vocabulary = vocabulary
        self._speed = np.asarray([speed], np.float32)
        self.fingerprint = fingerprint
        """Changes with everything that changes how a text sounds."""

    @classmethod
    def load(
        cls,
        folder: Path | None = None,
        *,
        lexicon: Lexicon | None = None,
        n_threads: int = 1,
        speed: float = 1.0,
        device: str = "cpu",
    ) -> "HibariSynthesizer":
        """Open the voice in `folder` (hibari's `assets`; None: the packaged one).

        `speed` 1.0 is the voice's own pace, 2.0 twice as fast. Raises `ModelError` when the voice is missing or
        damaged, or the device is not there.
        """
        import onnxruntime

        from rejoinder.models import providers, resolve, session_options

        folder, on = folder or resolve("hibari"), providers(device)
        options = session_options(n_threads)
        # Optimising this graph takes 0.15 s and makes it no faster.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL

        lexicon = lexicon or Lexicon()
        try:
            with ThreadPoolExecutor(1) as pool:
                graph = str(folder / "hibari.onnx")
                opening = pool.submit(onnxruntime.InferenceSession, graph, options, providers=on)
                phonemizer = Phonemizer.load(folder, lexicon=lexicon)
                vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
                session = opening.result()
        except Exception as error:  # onnxruntime raises its own types, which are not importable by name
            raise ModelError(f"{folder}: the voice cannot be opened ({error}); type: rejoinder doctor") from error
        voice_id = file_id(folder / "hibari.onnx")
        return cls(session, phonemizer, vocabulary, speed=speed, fingerprint=fingerprint(voice_id, lexicon, speed))

    def synthesize(
        self, text: str, *, speed: float = 1.0, rng: np.random.Generator | None = None, lexicon: Lexicon | None = None
    ) -> Iterator[Samples]:
        """Yield the audio of `text` clause by clause, each float32 of shape (n_samples,) at `sample_rate`.

        The same text sounds the same each time unless `rng` draws the noise. `speed` multiplies the one that was loaded
        with; `lexicon` takes the place of the one that was.
        """
        for clause in clauses(text):
            parts = wrap(self._phonemizer.phonemize(clause, lexicon=lexicon), MOST_PHONEMES)
            spoken = [self._speak(part, speed, rng or np.random.default_rng(_SEED)) for part in parts]
            samples = np.concatenate(spoken or [_NOTHING])
            if len(audio := shape(samples, self.sample_rate, gain=GAIN, pause_s=pause_after(clause))):
                yield audio

    def phonemize(self, text: str, *, lexicon: Lexicon | None = None) -> str:
        """The phonemes that `text` is spoken with: domain lexicon (or `lexicon`) first, then hibari's own rules."""
        return self._phonemizer.phonemize(text, lexicon=lexicon)

    def _speak(self, phonemes: str, speed: float, rng: np.random.Generator) -> Samples:
        from hibari import dsp

        ids = [self._vocabulary[phoneme] for phoneme in phonemes if phoneme in self._vocabulary]
        if not ids:
            return _NOTHING
        feeds = {"ids": np.asarray([[0, *ids, 0]], np.int64), "speed": self._speed * np.float32(speed)}
        spectra = [output[0] for output in self._session.run(None, feeds)]
        return np.asarray(dsp.synth(*spectra, rng), np.float32)
