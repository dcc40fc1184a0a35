"""Sentences to vectors: a BERT-class encoder in ONNX, mean-pooled as sentence-transformers does it."""

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.errors import ModelError
from rejoinder.models import providers, resolve, session_options
from rejoinder.nlu.encoder_graph import integer_graph

if TYPE_CHECKING:
    from tokenizers import Tokenizer

N_TOKENS_AT_MOST = 128
"""Longer texts are cut; callers' turns and windows of two sentences stay far below."""

GRAPH_VERSION = 2
"""Raise it when what is kept of a graph changes."""

N_REMEMBERED = 512
"""Texts whose vectors are remembered, 1.5 kB each: drafts ask for the same words at a pause and at the end."""

N_BATCH = 32
"""Sentences at once; more gains nothing on one thread and costs memory."""


class Encoder:
    """Turns texts into unit vectors whose dot product says how close their meanings are.

    Synchronous, and safe to call from several threads at once.
    """

    def __init__(self, session: Any, tokenizer: "Tokenizer", *, model_file: Path) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self._inputs = {entry.name for entry in session.get_inputs()}
        self._model_file = model_file
        self.n_dimensions = int(session.get_outputs()[0].shape[-1])
        self._remembered = lru_cache(N_REMEMBERED)(self._embed_one)

    @classmethod
    def load(
        cls, folder: Path | None = None, *, device: str = "cpu", n_threads: int = 1, cache: Path | None = None
    ) -> "Encoder":
        """Open `model.onnx` in `folder` (None: the packaged MiniLM), with `tokenizer.json` or `vocab.txt` beside it.

        Where neither is there, the BERT uncased vocabulary that Rejoinder carries is used. `device` is "cpu", "cuda"
        or "auto". Given a `cache` folder, the optimised graph is kept there: opening takes 0.08 s in place of 0.4 s.
        Raises `ModelError` when the model is missing or damaged, or the device is not there.
        """
        import onnxruntime

        if folder is None:
            folder = resolve("minilm-int8")
        model_file = folder / "model.onnx"
        if not model_file.is_file():
            raise ModelError(f"{folder}: holds no model.onnx; type: rejoinder doctor")
        chosen = providers(device)
        kept = None
        if cache is not None and chosen == ["CPUExecutionProvider"]:
            kept = cache / f"encoder-{GRAPH_VERSION}-{_fingerprint(model_file)}-{onnxruntime.__version__}.onnx"
        try:
            session = _reopen(kept, n_threads) or _open(model_file, kept, chosen, n_threads)
        except Exception as error:  # onnxruntime raises types of its own, which cannot be imported by name
            raise ModelError(f"{model_file}: cannot be opened as an ONNX model ({error})") from error
        return cls(session, _tokenizer(folder), model_file=model_file)

    @cached_property
    def fingerprint(self) -> str:
        """What distinguishes this encoder from others in the key of a cache."""
        return f"{GRAPH_VERSION}-{_fingerprint(self._model_file)}"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed `texts`; returns unit vectors, float32 of shape (n_texts, n_dimensions).

        A single text is remembered: asking for it again costs nothing.
        """
        if len(texts) == 1:
            return self._remembered(texts[0]).copy()
        vectors = np.zeros((len(texts), self.n_dimensions), dtype=np.float32)
        by_length: dict[int, list[tuple[int, list[int]]]] = defaultdict(list)
        for row, text in enumerate(texts):
            tokens = self._tokenizer.encode(text).ids
            by_length[len(tokens)].append((row, tokens))
        # Only texts of one length together: padding is time lost, and it disturbs the rounding to 8 bits.
        for alike in by_length.values():
            for start in range(0, len(alike), N_BATCH):
                rows, ids = zip(*alike[start : start + N_BATCH], strict=True)
                vectors[list(rows)] = self._embed(ids)
        return vectors

    def _embed_one(self, text: str) -> NDArray[np.float32]:
        return self._embed([self._tokenizer.encode(text).ids])

    def _embed(self, token_ids: Sequence[list[int]]) -> NDArray[np.float32]:
        """The unit vectors of texts with equally many tokens."""
        ids = np.array(token_ids, dtype=np.int64)  # (n_batch, n_tokens)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        feed = {name: value for name, value in feed.items() if name in self._inputs}
        pooled = self._session.run(None, feed)[0].sum(axis=1)  # (n_batch, n_dimensions)
        return np.asarray(pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def _reopen(kept: Path | None, n_threads: int) -> Any | None:
    """Open the graph that was kept, which is optimised already; None where there is none or it is damaged."""
    import onnxruntime

    if kept is None or not kept.is_file():
        return None
    options = session_options(n_threads)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(str(kept), options, providers=["CPUExecutionProvider"])
    except Exception:  # any damage: it is made anew
        return None


def _open(model_file: Path, kept: Path | None, chosen: list[str], n_threads: int) -> Any:
    """Open the model, and keep its optimised graph at `kept`, which appears whole or not at all."""
    import onnxruntime

    options = session_options(n_threads)
    source: str | bytes = (integer_graph(model_file) if chosen == ["CPUExecutionProvider"] else None) or str(model_file)
    # Higher levels tie the graph to one machine.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    if kept is None:
        return onnxruntime.InferenceSession(source, options, providers=chosen)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            made = Path(scratch) / kept.name
            options.optimized_model_filepath = str(made)
            session = onnxruntime.InferenceSession(source, options, providers=chosen)
            made.replace(kept)
            return session
    except OSError:  # a full or read-only disk costs the cache, not the assistant
        return _open(model_file, None, chosen, n_threads)


def _fingerprint(model_file: Path) -> str:
    """Size and the hash of the last megabyte: weights that differ, differ there, and it costs a millisecond."""
    size = model_file.stat().st_size
    with model_file.open("rb") as file:
        file.seek(max(0, size - 1_000_000))
        return hashlib.sha256(file.read() + str(size).encode()).hexdigest()[:16]


def _tokenizer(folder: Path) -> "Tokenizer":
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    if (folder / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    else:
        own = folder / "vocab.txt"
        vocabulary = own if own.is_file() else files("rejoinder") / "data" / "minilm" / "vocab.txt"
        tokens = vocabulary.read_text(encoding="utf-8").split("\n")
        ids = {token: index for index, token in enumerate(tokens) if token}
        tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    tokenizer.no_padding()
    tokenizer.enable_truncation(N_TOKENS_AT_MOST)
    return tokenizer
