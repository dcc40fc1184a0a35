"""Text to phonemes: the domain's lexicon first, then the rules, tables and small network of hibari (Apache-2.0).

The phonemes are misaki's: one character a sound, diphthongs as capitals, the stress mark right before its vowel.
"""

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rejoinder.tts.lexicon import Lexicon
from rejoinder.tts.verbalize import verbalize

if TYPE_CHECKING:
    from hibari.g2p import G2P


class Phonemizer:
    """American English, as any of the voices is given it."""

    def __init__(self, g2p: "G2P", lexicon: Lexicon) -> None:
        self._g2p = g2p
        self._lexicon = lexicon

    @classmethod
    def load(cls, folder: Path, *, lexicon: Lexicon | None = None) -> "Phonemizer":
        """Open the tables and the network for unknown words in `folder` (hibari's `assets`).

        Raises what Python and onnxruntime raise when a file is missing or damaged.
        """
        import onnxruntime

        from rejoinder.models import session_options

        options = session_options()
        # Optimising the graph takes longer than it saves in a day.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        unknown = onnxruntime.InferenceSession(str(folder / "oov.onnx"), options, providers=["CPUExecutionProvider"])
        return cls(_load_g2p(folder, unknown), lexicon or Lexicon())

    def phonemize(self, text: str, *, lexicon: Lexicon | None = None) -> str:
        """The phonemes that `text`, as a person would write it, is spoken with; marks that carry intonation stay.

        `lexicon` takes the place of the one that was loaded with.
        """
        marked = "".join(
            f"[{piece.text}](/{piece.phonemes}/)" if piece.phonemes else verbalize(piece.text)
            for piece in (self._lexicon if lexicon is None else lexicon).pieces(text)
        )
        return str(self._g2p(marked))


def _load_g2p(folder: Path, oov_session: Any) -> "G2P":
    """hibari's text-to-phonemes, opened in a third of the time: its largest tables are only cut, not parsed."""
    from hibari.g2p import G2P
    from hibari.g2p.lexicon import Lexicon as HibariLexicon
    from hibari.g2p.oov import OOV
    from hibari.g2p.tagger import Tagger
    from hibari.g2p.tokenize import Tokenizer

    class LazyG2P(G2P):  # type: ignore[misc]  # hibari is untyped
        def __init__(self) -> None:
            gold = json.loads(unzip(folder / "lexicon_us_gold.json.gz"))
            silver = CutObject(unzip(folder / "lexicon_us_silver.json.gz")[2:-2], '"', '"')
            self.lexicon = HibariLexicon(gold, silver)
            self.tokenizer = Tokenizer(json.loads((folder / "tokenizer_exceptions.json").read_text(encoding="utf-8")))
            head, _, weights = unzip(folder / "tagger.json.gz").partition(',"weights":{"')
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


def unzip(path: Path) -> str:
    """The text of a `.gz` file."""
    return gzip.decompress(path.read_bytes()).decode()
