"""Sentences to vectors: a BERT-class encoder in ONNX, mean-pooled as sentence-transformers does it."""

import hashlib
import tempfile
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

N_TOKENS_AT_MOST = 128
"""Longer texts are cut; callers' turns and windows of two sentences stay far below."""

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

    @classmethod
    def load(
        cls, folder: Path | None = None, *, device: str = "cpu", n_threads: int = 1, cache: Path | None = None
    ) -> "Encoder":
        """Open `model.onnx` in `folder` (None: the packaged MiniLM), with `tokenizer.json` or `vocab.txt` beside it.

        Where neither is there, the BERT uncased vocabulary that Rejoinder carries is used. `device` is "cpu", "cuda"
        or "auto". Given a `cache` folder, the optimised graph is kept there: opening takes 0.15 s in place of 0.6 s.
        Raises `ModelError` when the model is missing or damaged, or the device is not there.
        """
        import onnxruntime

        if folder is None:
            from rejoinder.models import resolve

            folder = resolve("minilm-int8")
        model_file = folder / "model.onnx"
        if not model_file.is_file():
            raise ModelError(f"{folder}: holds no model.onnx; type: rejoinder doctor")
        chosen = providers(device, onnxruntime.get_available_providers())
        kept = None
        if cache is not None and chosen == ["CPUExecutionProvider"]:
            kept = cache / f"encoder-{_fingerprint(model_file)}-{onnxruntime.__version__}.onnx"
        try:
            session = _reopen(kept, n_threads) or _open(model_file, kept, chosen, n_threads)
        except Exception as error:  # onnxruntime raises types of its own, which cannot be imported by name
            raise ModelError(f"{model_file}: cannot be opened as an ONNX model ({error})") from error
        return cls(session, _tokenizer(folder), model_file=model_file)

    @cached_property
    def fingerprint(self) -> str:
        """What distinguishes this encoder from others in the key of a cache."""
        return _fingerprint(self._model_file)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed `texts`; returns unit vectors, float32 of shape (n_texts, n_dimensions)."""
        vectors = np.zeros((len(texts), self.n_dimensions), dtype=np.float32)
        encodings = [self._tokenizer.encode(text) for text in texts]
        # Sorted by length, so that a batch needs little padding: this alone makes 15,000 sentences twice as fast.
        order = sorted(range(len(texts)), key=lambda index: len(encodings[index].ids))
        for start in range(0, len(order), N_BATCH):
            rows = order[start : start + N_BATCH]
            vectors[rows] = self._embed([encodings[row].ids for row in rows])
        return vectors

    def _embed(self, token_ids: list[list[int]]) -> NDArray[np.float32]:
        n_longest = max(len(ids) for ids in token_ids)
        ids = np.zeros((len(token_ids), n_longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(token_ids):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feed = {name: value for name, value in feed.items() if name in self._inputs}
        hidden = self._session.run(None, feed)[0]  # (n_batch, n_tokens, n_dimensions)
        pooled = np.einsum("btd,bt->bd", hidden, mask.astype(np.float32))
        return np.asarray(pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def providers(device: str, available: Sequence[str]) -> list[str]:
    """ONNX Runtime's execution providers for "cpu", "cuda" or "auto"; raises `ModelError` for what is not there."""
    if device not in ("cpu", "cuda", "auto"):
        raise ModelError(f"unknown device '{device}' (known: auto, cpu, cuda)")
    if device != "cpu" and "CUDAExecutionProvider" in available:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]
    if device == "cuda":
        raise ModelError("ONNX Runtime here has no CUDA; type: pip install onnxruntime-gpu, or use --device cpu")
    return ["CPUExecutionProvider"]


def _options(n_threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _reopen(kept: Path | None, n_threads: int) -> Any | None:
    """Open the graph that was kept, which is optimised already; None where there is none or it is damaged."""
    import onnxruntime

    if kept is None or not kept.is_file():
        return None
    options = _options(n_threads)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(str(kept), options, providers=["CPUExecutionProvider"])
    except Exception:  # any damage: it is made anew
        return None


def _open(model_file: Path, kept: Path | None, chosen: list[str], n_threads: int) -> Any:
    """Open the model, and keep its optimised graph at `kept`, which appears whole or not at all."""
    import onnxruntime

    options = _options(n_threads)
    # Higher levels tie the graph to one machine.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    if kept is None:
        return onnxruntime.InferenceSession(str(model_file), options, providers=chosen)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            made = Path(scratch) / kept.name
            options.optimized_model_filepath = str(made)
            session = onnxruntime.InferenceSession(str(model_file), options, providers=chosen)
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
