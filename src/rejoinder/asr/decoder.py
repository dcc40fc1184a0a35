"""Running moonshine: audio to keys and values once, then tokens to logits, over any tree of hypotheses in one call."""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rejoinder.asr.tokenizer import BEGIN_ID, END_ID
from rejoinder.errors import ModelError

Array = NDArray[np.float32]
Keys: TypeAlias = NDArray[np.floating[Any]]
"""Keys and values, (n_layers, 2, n_heads, n, d_head), in the precision in which the graph attends."""

_Read: TypeAlias = tuple[Array, Keys]

FORMAT = 2
"""Counts up when `decoder_graph` makes another graph of the same weights."""

OWN_CROSS, OWN_DECODER = "cross_model.onnx", "decoder_model.onnx"
"""The names of graphs of our own in a folder that fine-tuning made."""

HIDDEN_SCORE = np.float32(-1e9)
"""Added to the attention score of what a token must not see."""


class Decoder:
    """The decoder's two graphs; see `decoder_graph` for their inputs. Safe to use from several threads."""

    def __init__(self, cross: Any, decoder: Any) -> None:
        self._cross = cross
        self._decoder = decoder
        past = next(i for i in decoder.get_inputs() if i.name == "past")
        n_layers, two, n_heads, _, d_head = past.shape
        precise = np.float64 if past.type == "tensor(double)" else np.float32
        self.empty: Keys = np.zeros((n_layers, two, n_heads, 0, d_head), precise)
        """The past of a text that has not begun."""

    @classmethod
    def load(cls, path: Path, *, cache: Path, providers: Sequence[str], session_options: Any) -> "Decoder":
        """Open a moonshine decoder.

        `path` is a published one, opened by way of graphs of our own, which are made once and kept in `cache`; or it is
        `OWN_DECODER`, already such a graph, with `OWN_CROSS` beside it, as fine-tuning leaves it.
        """
        import onnxruntime

        quantize = list(providers) == ["CPUExecutionProvider"]
        graphs = _own_graphs(path) if path.name == OWN_DECODER else _graphs(path, cache, quantize=quantize)
        try:
            sessions = [
                onnxruntime.InferenceSession(graph, session_options, providers=list(providers)) for graph in graphs
            ]
        except Exception as error:  # ONNX Runtime's own exceptions have no common base
            raise ModelError(f"{path}: is damaged or no ONNX model; make or install the model anew") from error
        return cls(*sessions)

    def listen(self, hidden: Array) -> Keys:
        """Keys and values of the audio, `cross`, from the encoder's output (1, n_frames, d_model)."""
        return np.asarray(self._cross.run(None, {"hidden": hidden})[0])

    def read(
        self,
        tokens: Sequence[int],
        past: Keys,
        cross: Keys,
        *,
        positions: Sequence[int] | None = None,
        mask: Array | None = None,
    ) -> _Read:
        """Read `tokens` after `past`, one after the other unless told otherwise.

        `mask`, (n_tokens, n_past + n_tokens), is 0 where a token sees another and `HIDDEN_SCORE` where not.

        Returns the logits after each, (n_tokens, n_vocabulary), and the past with the tokens added.
        """
        n_past, n = past.shape[3], len(tokens)
        if positions is None:
            positions = range(n_past, n_past + n)
        if mask is None:
            later = np.triu(np.full((n, n), HIDDEN_SCORE, np.float32), 1)
            mask = np.concatenate([np.zeros((n, n_past), np.float32), later], axis=1)
        logits, present = self._run(tokens, positions, mask, past, cross)
        return logits, np.concatenate([past, present], axis=3)

    def read_tree(self, tree: "TokenTree", cross: Keys) -> Array:
        """Read many texts in one call; returns the logits after each node of the tree, (n_nodes, n_vocabulary)."""
        logits, _ = self._run(tree.tokens, tree.depths, tree.mask(), self.empty, cross)
        return logits

    def _run(self, tokens: Sequence[int], positions: Any, mask: Array, past: Keys, cross: Keys) -> tuple[Array, Array]:
        feed = {
            "tokens": np.asarray(tokens, np.int64),
            "positions": np.asarray(positions, np.float32),
            "mask": mask.astype(self.empty.dtype, copy=False),
            "past": np.ascontiguousarray(past),
            "cross": cross,
        }
        logits, present = self._decoder.run(None, feed)
        return logits, present


@dataclass(slots=True)
class TokenTree:
    """Texts that share their beginnings, each distinct beginning once; node 0 is the begin mark of them all."""

    tokens: list[int]
    parents: list[int]
    depths: list[int]

    @classmethod
    def of(cls, texts: Sequence[Sequence[int]]) -> tuple["TokenTree", list[list[int]]]:
        """The tree of some token sequences, and for each of them the nodes on its way, the begin mark included."""
        tree = cls([BEGIN_ID], [-1], [0])
        children: dict[tuple[int, int], int] = {}
        ways: list[list[int]] = []
        for text in texts:
            way = [0]
            for token in text:
                node = children.get((way[-1], token))
                if node is None:
                    node = children[way[-1], token] = len(tree.tokens)
                    tree.tokens.append(token)
                    tree.parents.append(way[-1])
                    tree.depths.append(len(way))
                way.append(node)
            ways.append(way)
        return tree, ways

    def mask(self) -> Array:
        """Each node sees itself and what leads to it, (n_nodes, n_nodes)."""
        mask = np.full((len(self.tokens), len(self.tokens)), HIDDEN_SCORE, np.float32)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                mask[node] = mask[parent]
            mask[node, node] = 0.0
        return mask


def log_probabilities(logits: Array, rows: Sequence[int], tokens: Sequence[int]) -> Array:
    """Log-probability of `tokens[i]` under `logits[rows[i]]`, (n_rows,)."""
    chosen = logits[list(rows)]  # a copy, and all that follows happens in it: 32,768 logits a row are many
    chosen -= chosen.max(axis=-1, keepdims=True)
    of_tokens = chosen[np.arange(len(tokens)), list(tokens)]
    return np.asarray(of_tokens - np.log(np.exp(chosen, out=chosen).sum(axis=-1)))


def differences(reference: Sequence[int], texts: Sequence[Sequence[int]], n_after: int) -> list[tuple[range, range]]:
    """Where each text differs from `reference`, as positions of next tokens (the end mark is one).

    Returns for each text the positions in the reference and in the text, from the first difference to `n_after` tokens
    beyond the last: what follows is the same words after the same words, and scores nearly the same.
    """
    result = []
    whole = (*reference, END_ID)
    for text in texts:
        other = (*text, END_ID)
        n_before = 0
        while n_before < min(len(whole), len(other)) and whole[n_before] == other[n_before]:
            n_before += 1
        n_shared = 0
        while n_shared < min(len(whole), len(other)) - n_before and whole[-1 - n_shared] == other[-1 - n_shared]:
            n_shared += 1
        n_cut = max(0, n_shared - n_after)
        result.append((range(n_before, len(whole) - n_cut), range(n_before, len(other) - n_cut)))
    return result


def _graphs(path: Path, cache: Path, *, quantize: bool) -> tuple[bytes, bytes]:
    """The serialized graphs for audio and text, from the cache or made now."""
    digest = hashlib.blake2b(path.read_bytes(), digest_size=12).hexdigest()
    kept = [
        cache / f"{digest}-{name}-{'int8' if quantize else 'float32'}-{FORMAT}.onnx" for name in ("cross", "decoder")
    ]
    if all(file.is_file() for file in kept):
        return kept[0].read_bytes(), kept[1].read_bytes()
    made = _make_graphs(path, quantize=quantize)
    for file, content in zip(kept, made, strict=True):
        _keep(file, content)
    return made


def _own_graphs(path: Path) -> tuple[bytes, bytes]:
    try:
        return path.with_name(OWN_CROSS).read_bytes(), path.read_bytes()
    except OSError as error:
        raise ModelError(f"{error.filename}: cannot be read ({error.strerror}); adapt the model anew") from error


def _make_graphs(path: Path, *, quantize: bool) -> tuple[bytes, bytes]:
    from rejoinder.asr.decoder_graph import cross_model, decoder_model, read_weights

    n_heads = n_heads_of(path)
    weights = read_weights(path)
    return cross_model(weights, n_heads, quantize=quantize), decoder_model(weights, n_heads, quantize=quantize)


def n_heads_of(path: Path) -> int:
    """Attention heads of a published decoder; raises `ModelError` when it is another model."""
    import onnxruntime

    try:
        published = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions have no common base
        raise ModelError(f"{path}: is damaged or no ONNX model ({error}); install the model anew") from error
    shapes = [i.shape for i in published.get_inputs() if i.name == "past_key_values.0.decoder.key"]
    if not shapes:
        raise ModelError(f"{path}: is not a moonshine decoder (it has no input past_key_values.0.decoder.key)")
    return int(shapes[0][1])


def _keep(file: Path, content: bytes) -> None:
    """Write a file whole or not at all; where nothing can be written, the graph is made again the next time."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(handle, "wb") as out:
            out.write(content)
        Path(part).replace(file)
    except OSError:
        return
