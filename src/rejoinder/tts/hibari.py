"""The default voice: hibari, a small convolutional synthesizer in ONNX with its own text-to-phonemes."""

import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from rejoinder.errors import ModelError
from rejoinder.events import Samples
from rejoinder.text import clauses
from rejoinder.tts.cache import file_id, fingerprint
from rejoinder.tts.lexicon import Lexicon
from rejoinder.tts.shaping import pause_after, shape
from rejoinder.tts.verbalize import verbalize

if TYPE_CHECKING:
    from hibari.g2p import G2P

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
        self, session: Any, g2p: "G2P", vocabulary: dict[str, int], *, lexicon: Lexicon, speed: float, voice_id: str
    ) -> None:
        self._session = session
        self._g2p = g2p
        self._vocabulary = vocabulary
        self._lexicon = lexicon
        self._speed = np.asarray([speed], np.float32)
        self.fingerprint = fingerprint(voice_id, lexicon, speed)
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

        from rejoinder.models import providers, resolve

        folder, on = folder or resolve("hibari"), providers(device)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Optimising this graph takes 0.15 s and makes it no faster.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL

        def open_graph(file: str, providers: list[str]) -> Any:
            return onnxruntime.InferenceSession(str(folder / file), options, providers=providers)

        try:
            with ThreadPoolExecutor(1) as pool:
                opening = pool.submit(open_graph, "hibari.onnx", on)
                g2p = _load_g2p(folder, open_graph("oov.onnx", ["CPUExecutionProvider"]))
                vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
                session = opening.result()
        except Exception as error:  # onnxruntime raises its own types, which are not importable by name
            raise ModelError(f"{folder}: the voice cannot be opened ({error}); type: rejoinder doctor") from error
        voice_id = file_id(folder / "hibari.onnx")
        return cls(session, g2p, vocabulary, lexicon=lexicon or Lexicon(), speed=speed, voice_id=voice_id)

    def synthesize(self, text: str) -> Iterator[Samples]:
        """Yield the audio of `text` clause by clause, each float32 of shape (n_samples,) at `sample_rate`."""
        for clause in clauses(text):
            samples = np.concatenate(
                [self._speak(part) for part in wrap(self.phonemize(clause), MOST_PHONEMES)] or [_NOTHING]
            )
            if len(audio := shape(samples, self.sample_rate, gain=GAIN, pause_s=pause_after(clause))):
                yield audio

    def phonemize(self, text: str) -> str:
        """The phonemes that `text` is spoken with: domain lexicon first, then hibari's own rules."""
        marked = "".join(
            f"[{piece.text}](/{piece.phonemes}/)" if piece.phonemes else verbalize(piece.text)
            for piece in self._lexicon.pieces(text)
        )
        return str(self._g2p(marked))

    def _speak(self, phonemes: str) -> Samples:
        from hibari import dsp

        ids = [self._vocabulary[phoneme] for phoneme in phonemes if phoneme in self._vocabulary]
        if not ids:
            return _NOTHING
        feeds = {"ids": np.asarray([[0, *ids, 0]], np.int64), "speed": self._speed}
        spectra = [output[0] for output in self._session.run(None, feeds)]
        return np.asarray(dsp.synth(*spectra, np.random.default_rng(_SEED)), np.float32)


def _load_g2p(folder: Path, oov_session: Any) -> "G2P":
    """hibari's text-to-phonemes, opened in a third of the time: its largest tables are only cut, not parsed."""
    from hibari.g2p import G2P
    from hibari.g2p.lexicon import Lexicon as HibariLexicon
    from hibari.g2p.oov import OOV
    from hibari.g2p.tagger import Tagger
    from hibari.g2p.tokenize import Tokenizer

    class LazyG2P(G2P):  # type: ignore[misc]  # hibari is untyped
        def __init__(self) -> None:
            gold = json.loads(_unzip(folder / "lexicon_us_gold.json.gz"))
            silver = CutObject(_unzip(folder / "lexicon_us_silver.json.gz")[2:-2], '"', '"')
            self.lexicon = HibariLexicon(gold, silver)
            self.tokenizer = Tokenizer(json.loads((folder / "tokenizer_exceptions.json").read_text(encoding="utf-8")))
            head, _, weights = _unzip(folder / "tagger.json.gz").partition(',"weights":{"')
            self.tagger = Tagger({**json.loads(head + "}"), "weights": CutObject(weights[:-3], "{", "}")})
            self._oov = OOV(str(folder / "oov.onnx"), session=oov_session)
            self.unk = ""
            self.british = False

    return LazyG2P()


class CutObject:
    """A JSON object whose values are all strings or all flat objects, parsed only where it is asked.

    Opening hibari's two largest tables so takes 80 ms where parsing them takes 330.
    """

    def __init__(self, text: str, opening: str, closing: str) -> None:
        """`text` is what stands between the first key's opening quote and the last value's closing bracket."""
        self._opening, self._closing = opening, closing
        # One flat list: pairs or sublists by the ten thousand would keep the garbage collector busy.
        parts = text.replace(f'{closing},"', f'":{opening}').split(f'":{opening}')
        self._raw = dict(zip(parts[::2], parts[1::2], strict=True))
        self._parsed: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        """The value of `key`, or None."""
        if key not in self._parsed:
            raw = self._raw.get(json.dumps(key, ensure_ascii=False)[1:-1])
            if raw is None:
                return None
            self._parsed[key] = json.loads(self._opening + raw + self._closing)
        return self._parsed[key]


def _unzip(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode()
