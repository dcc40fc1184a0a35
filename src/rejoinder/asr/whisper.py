"""Whisper through `faster-whisper`, as a second recognizer: slower, larger, and of many languages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.asr.recognizer import Bias, BiasPhrase, Transcript, Word
from rejoinder.audio import SAMPLE_RATE
from rejoinder.errors import ModelError, require_extra
from rejoinder.events import Samples

SHORTEST_S = 0.1
"""Audio shorter than this holds no word."""

QUIETEST_PEAK = 1e-4
"""Audio that never gets louder is silence, of which Whisper makes words."""

LIKELY_SILENCE = 0.6
"""Probability of no speech above which, with unsure words, a segment is left out; OpenAI's own default."""

UNSURE_LOG_PROB = -1.0
"""Mean log-probability of a segment below which its words are unsure; OpenAI's own default."""

LONGEST_HINT_CHARS = 400
"""Hot words beyond this would crowd out the decoder's context of 224 tokens."""


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    """How to decode."""

    language: str | None = "en"
    """None: found out from the first 30 s."""
    beam_size: int = 1
    compute_type: str = "int8"
    """How CTranslate2 computes: "int8" on a CPU, "float16" on a GPU."""


@dataclass(frozen=True, slots=True)
class HotWords:
    """Phrases as the hint that faster-whisper puts before the transcript."""

    hint: str


class WhisperRecognizer:
    """A `Recognizer`; make it with `load`."""

    def __init__(self, model: Any, options: WhisperOptions) -> None:
        self._model = model
        self._options = options

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str = "cpu",
        n_threads: int = 1,
        options: WhisperOptions = WhisperOptions(),
    ) -> "WhisperRecognizer":
        """Open a CTranslate2 Whisper model in `folder`.

        Raises `MissingExtraError` without `faster-whisper` and `ModelError` when the folder holds no such model.
        """
        require_extra("whisper", "faster_whisper")
        from faster_whisper import WhisperModel

        if not (Path(folder) / "model.bin").is_file():
            raise ModelError(f"{folder}: holds no model.bin; a Whisper folder is one converted for CTranslate2")
        try:
            model = WhisperModel(
                str(folder),
                device=device,
                cpu_threads=n_threads,
                compute_type=options.compute_type,
                local_files_only=True,
            )
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{folder}: cannot be opened as a Whisper model ({error})") from error
        return cls(model, options)

    def compile_bias(self, phrases: Sequence[BiasPhrase], *, sentences: Sequence[str] = ()) -> Bias:  # noqa: ARG002
        """Phrases as hot words, the most boosted first, as many as Whisper's context takes; sentences are of no use."""
        hint = ""
        for phrase in sorted(phrases, key=lambda phrase: -phrase.boost):
            longer = f"{hint}, {phrase.text}" if hint else phrase.text
            if len(longer) > LONGEST_HINT_CHARS:
                break
            hint = longer
        return HotWords(hint)

    def transcribe(
        self, samples: Samples, *, bias: Bias | None = None, draft: Transcript | None = None, n_best: int = 1
    ) -> Transcript:
        """Recognize `samples`, float32 of shape (n_samples,) at `audio.SAMPLE_RATE`.

        `draft` and `n_best` are accepted and change nothing: faster-whisper neither verifies nor ranks hypotheses.
        """
        del draft, n_best
        if len(samples) < SHORTEST_S * SAMPLE_RATE or float(np.abs(samples).max()) < QUIETEST_PEAK:
            return Transcript("")
        segments, _ = self._model.transcribe(
            samples,
            language=self._options.language,
            beam_size=self._options.beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            word_timestamps=False,
            hotwords=bias.hint if isinstance(bias, HotWords) and bias.hint else None,
        )
        heard = [
            segment
            for segment in segments
            if segment.no_speech_prob < LIKELY_SILENCE or segment.avg_logprob > UNSURE_LOG_PROB
        ]
        text = " ".join(segment.text.strip() for segment in heard)
        words = tuple(
            Word(word, float(np.exp(segment.avg_logprob))) for segment in heard for word in segment.text.split()
        )
        confidence = float(np.mean([word.confidence for word in words])) if words else 0.0
        return Transcript(text, confidence, words)
