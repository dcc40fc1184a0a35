"""A voice of Piper's, or one that was fine-tuned from it. Needs the `piper` extra, which is GPL and never imported here
but in `load`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rejoinder.errors import ModelError, require_extra
from rejoinder.events import Samples
from rejoinder.text import clauses
from rejoinder.tts.cache import file_id, fingerprint
from rejoinder.tts.lexicon import Lexicon, to_ipa
from rejoinder.tts.shaping import pause_after, shape
from rejoinder.tts.verbalize import verbalize

if TYPE_CHECKING:
    from piper import PiperVoice, SynthesisConfig

GAIN = 1.6
"""Brings the packaged voice to the level of the default one."""


class PiperSynthesizer:
    """Speaks with a Piper voice. Synchronous, and safe to call from several threads at once.

    Unlike hibari's, its noise is drawn inside the network: the same text sounds a little different each time.
    """

    def __init__(self, voice: "PiperVoice", config: "SynthesisConfig", *, lexicon: Lexicon, fingerprint: str) -> None:
        self._voice = voice
        self._config = config
        self._lexicon = lexicon
        self.fingerprint = fingerprint
        """Changes with everything that changes how a text sounds."""

    @property
    def sample_rate(self) -> int:
        """Samples a second of what `synthesize` yields."""
        return int(self._voice.config.sample_rate)

    @classmethod
    def load(
        cls,
        folder: Path | None = None,
        *,
        lexicon: Lexicon | None = None,
        n_threads: int = 1,
        speed: float = 1.0,
        device: str = "cpu",
    ) -> "PiperSynthesizer":
        """Open the one `.onnx` voice in `folder`, its `.onnx.json` beside it (None: the packaged voice "joe").

        Raises `MissingExtraError` without the extra, `ModelError` when the voice is missing or damaged.
        """
        require_extra("piper", "piper")
        import onnxruntime
        from piper import PiperVoice, SynthesisConfig
        from piper.config import PiperConfig

        from rejoinder.models import providers, resolve, session_options

        folder, on = folder or resolve("joe"), providers(device)
        found = sorted(folder.glob("*.onnx"))
        if len(found) != 1:
            raise ModelError(f"{folder}: holds {len(found)} .onnx files where one Piper voice is expected")
        options = session_options(n_threads)
        try:
            config = PiperConfig.from_dict(json.loads(Path(f"{found[0]}.json").read_text(encoding="utf-8")))
            session = onnxruntime.InferenceSession(str(found[0]), options, providers=on)
        except Exception as error:  # onnxruntime raises its own types, which are not importable by name
            raise ModelError(f"{found[0]}: the voice cannot be opened ({error}); type: rejoinder doctor") from error
        lexicon = lexicon or Lexicon()
        return cls(
            PiperVoice(config=config, session=session),
            SynthesisConfig(length_scale=config.length_scale / speed, normalize_audio=False),
            lexicon=lexicon,
            fingerprint=fingerprint(file_id(found[0]), lexicon, speed),
        )

    def synthesize(self, text: str) -> Iterator[Samples]:
        """Yield the audio of `text` clause by clause, each float32 of shape (n_samples,) at `sample_rate`."""
        for clause in clauses(text):
            chunks = [chunk.audio_float_array for chunk in self._voice.synthesize(self._marked(clause), self._config)]
            samples = np.concatenate(chunks or [np.zeros(0)]).astype(np.float32)
            if len(audio := shape(samples, self.sample_rate, gain=GAIN, pause_s=pause_after(clause))):
                yield audio

    def _marked(self, text: str) -> str:
        """The words to say, the lexicon's as IPA in Piper's double brackets."""
        return "".join(
            f"[[ {to_ipa(piece.phonemes)} ]]" if piece.phonemes else verbalize(piece.text)
            for piece in self._lexicon.pieces(text)
        )
