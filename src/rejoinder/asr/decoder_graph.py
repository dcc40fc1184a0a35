"""Moonshine's decoder as a graph of our own, made from the weights of the one that comes with the model.

The published graph has two branches of some 900 nodes, most of them about shapes, wants one batch row per hypothesis,
and quantizes activations by whole tensors, so that a token's logits change with the tokens beside it (by 0.15 in the
median: 22 of 119 drafts of AN4 were judged otherwise than decoding judged them). This one quantizes activations row by
row and takes any set of tokens with any attention mask: one call continues a text, checks a whole draft, or scores many
hypotheses that share a beginning, and the logits of a token are the same in all three. It is also nearer to float32
(0.147 against 0.163 in the median) and 1.5 times as fast.

Attention is in float64: sums over more or fewer keys then round to the same float32, and so to the same whole numbers.

    tokens (n,) int64, positions (n,) float32, mask (n, n_past + n), added to attention scores
    past    (n_layers, 2, n_heads, n_past, d_head)   keys and values of earlier tokens
    cross   (n_layers, 2, n_heads, n_frames, d_head) keys and values of the audio, from the graph `cross`
 -> logits (n, n_vocabulary), present (n_layers, 2, n_heads, n, d_head)

The architecture is that of Jeffries et al. 2024, "Moonshine", as its published graph and transformers'
`modeling_moonshine` (Apache-2.0) have it.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.errors import ModelError

Weights = Mapping[str, NDArray[np.float32]]

OPSET = 18
ROTARY_BASE = 10_000.0
ROTARY_SHARE = 0.9
"""Share of a head's dimensions that carry the position; rounded down to an even number."""

ZERO_POINT = 128
"""What stands for zero among the whole numbers 1 to 255."""

_PREFIX = "model.decoder."
_EMBEDDING = f"{_PREFIX}embed_tokens.weight"
_FLOAT, _UINT8, _INT64, _DOUBLE = 1, 2, 7, 11  # onnx.TensorProto's codes
_QUANTIZED_MATMULS = {"DynamicQuantizeMatMul": (1, 2, 3), "MatMulIntegerToFloat": (1, 3, 5)}
"""ONNX Runtime's quantized products: where their inputs hold weight, scale and zero point."""


def read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """The float weights of a published decoder, `.ort` or `.onnx`, by the names that PyTorch has for them.

    Matrices are (n_in, n_out). Raises `ModelError` when the graph is another one.
    """
    from onnx import numpy_helper

    graphs = list(_graphs(_as_onnx(path)))
    tensors = {t.name: numpy_helper.to_array(t) for graph in graphs for t in graph.initializer}
    weights: dict[str, NDArray[np.float32]] = {}
    for node in (node for graph in graphs for node in graph.node):
        weight = _matrix(node, tensors)
        if weight is not None and "/decoder/layers." in node.name:
            name = re.sub(r"/MatMul.*$", "", node.name).strip("/").replace("/", ".")
            weights[f"{name}.weight"] = weight
    for name, tensor in tensors.items():
        if name.startswith(_PREFIX) and tensor.dtype == np.float32 and tensor.ndim:
            weights.setdefault(re.sub(r"_merged_\d+.*", "", name), tensor)
    quantized = next((n for n in tensors if n.startswith(_EMBEDDING) and n.endswith("_quantized")), None)
    if quantized is not None:
        base = quantized.removesuffix("_quantized")
        weights[_EMBEDDING] = _dequantized(tensors[quantized], tensors[f"{base}_scale"], tensors[f"{base}_zero_point"])
    if _EMBEDDING not in weights or f"{_PREFIX}layers.0.mlp.fc1.weight" not in weights:
        raise ModelError(f"{path}: is not a moonshine decoder (it has no {_EMBEDDING})")
    return weights


def _dequantized(values: Any, scale: Any, zero_point: Any) -> NDArray[np.float32]:
    return np.asarray((values.astype(np.float32) - zero_point.astype(np.float32)) * scale, np.float32)


def _rounded(matrix: NDArray[np.float32], *, axis: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A matrix in whole numbers around `ZERO_POINT`, with one scale for all values along `axis`."""
    scale = np.maximum(np.abs(matrix).max(axis=axis, keepdims=True), 1e-8) / 127
    return (np.round(matrix / scale) + ZERO_POINT).astype(np.uint8), scale.astype(np.float32)


def _matrix(node: Any, tensors: Mapping[str, Any]) -> NDArray[np.float32] | None:
    """The weight that a node multiplies by, if it is one of the model's."""
    if node.op_type == "MatMul" and node.input[1] in tensors:
        return np.asarray(tensors[node.input[1]], np.float32)
    if node.op_type in _QUANTIZED_MATMULS:
        weight, scale, zero_point = (node.input[i] for i in _QUANTIZED_MATMULS[node.op_type])
        if weight in tensors:
            return _dequantized(tensors[weight], tensors[scale], tensors[zero_point])
    return None


def _as_onnx(path: Path) -> Any:
    """Any graph that ONNX Runtime opens, as an ONNX graph with its node names."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model.onnx"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        if path.suffix == ".ort":
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.save_model_format", "ONNX")
        options.optimized_model_filepath = str(out)
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return onnx.load(str(out)).graph


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the weights tell of the model; `n_heads` they do not."""

    n_layers: int
    n_heads: int
    d_model: int
    n_vocabulary: int

    @property
    def d_head(self) -> int:
        """Dimensions of one attention head."""
        return self.d_model // self.n_heads

    @classmethod
    def of(cls, weights: Weights, n_heads: int) -> "Sizes":
        """Read the sizes off the weights."""
        n_vocabulary, d_model = weights[_EMBEDDING].shape
        n_layers = sum(name.endswith(".mlp.fc1.weight") for name in weights)
        return cls(n_layers, n_heads, d_model, n_vocabulary)


class _Builder:
    """Nodes and constants of a graph under construction; every method returns the name of its result."""

    def __init__(self, weights: Weights, sizes: Sizes, *, quantize: bool) -> None:
        from onnx import helper

        self._helper = helper
        self._quantize = quantize
        self._quantized: dict[str, tuple[str, str]] = {}
        self.precise = _DOUBLE if quantize else _FLOAT
        self._weights = weights
        self._sizes = sizes
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def op(self, kind: str, *inputs: str, n_outputs: int = 1, **attributes: Any) -> Any:
        names = [f"{kind}_{len(self.nodes)}_{i}" for i in range(n_outputs)]
        self.nodes.append(self._helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if n_outputs == 1 else names

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        self.constants.setdefault(name, np.asarray(value, dtype))
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self._weights[f"{_PREFIX}{name}"])

    def product(self, x: str, name: str, matrix: NDArray[np.float32]) -> str:
        """`x` (n, n_in) times `matrix` (n_in, n_out): in whole numbers, scaled by row of `x` and column of `matrix`."""
        if not self._quantize:
            return str(self.op("MatMul", x, self.constant(name, matrix)))
        rounded, scale = self.rounded_rows(x)
        columns, column_scale = _rounded(matrix, axis=0)
        whole = self.op(
            "MatMulInteger", rounded, self.constant(name, columns, np.uint8), self.zero_point(), self.zero_point()
        )
        scaled = self.op("Mul", self.op("Cast", whole, to=_FLOAT), scale)
        return str(self.op("Mul", scaled, self.constant(f"{name}.scale", column_scale)))

    def zero_point(self) -> str:
        return self.constant("zero_point", ZERO_POINT, np.uint8)

    def rounded_rows(self, x: str) -> tuple[str, str]:
        """`x` in whole numbers around `ZERO_POINT`, with the scale of each row (n, 1)."""
        if x not in self._quantized:
            largest = self.op("ReduceMax", self.op("Abs", x), self.constant("last", [-1], np.int64), keepdims=1)
            scale = self.op("Mul", self.op("Max", largest, self.constant("tiny", 1e-8)), self.constant("unit", 1 / 127))
            whole = self.op("Add", self.op("Round", self.op("Div", x, scale)), self.constant("center", ZERO_POINT))
            self._quantized[x] = (self.op("Cast", whole, to=_UINT8), scale)
        return self._quantized[x]

    def embedded(self, tokens: str) -> str:
        """The embedding of each token, (n, d_model)."""
        table = self._weights[_EMBEDDING]
        if not self._quantize:
            return str(self.op("Gather", self.constant("embedding", table), tokens, axis=0))
        rounded, scale = _rounded(table, axis=1)
        rows = self.op("Gather", self.constant("embedding", rounded, np.uint8), tokens, axis=0)
        scales = self.op("Gather", self.constant("embedding.scale", scale), tokens, axis=0)
        centred = self.op("Sub", self.op("Cast", rows, to=_FLOAT), self.constant("center", ZERO_POINT))
        return str(self.op("Mul", centred, scales))

    def linear(self, x: str, name: str) -> str:
        return self.product(x, f"{name}.weight", self._weights[f"{_PREFIX}{name}.weight"])

    def joined(self, x: str, names: list[str]) -> list[str]:
        """Several products with the same input as one, which reads the input once."""
        matrix = np.concatenate([self._weights[f"{_PREFIX}{name}.weight"] for name in names], axis=1)
        product = self.product(x, "+".join(names), matrix)
        return list(self.op("Split", product, n_outputs=len(names), axis=1, num_outputs=len(names)))

    def norm(self, x: str, name: str) -> str:
        return str(self.op("LayerNormalization", x, self.weight(f"{name}.weight"), axis=-1, epsilon=1e-5))

    def heads(self, x: str) -> str:
        """(n, d_model) -> (n_heads, n, d_head), in the precision of attention."""
        shape = self.constant("heads", [-1, self._sizes.n_heads, self._sizes.d_head], np.int64)
        return self.cast(self.op("Transpose", self.op("Reshape", x, shape), perm=[1, 0, 2]), self.precise)

    def cast(self, x: str, kind: int) -> str:
        return x if kind == _FLOAT and not self._quantize else str(self.op("Cast", x, to=kind))

    def attend(self, q: str, k: str, v: str, mask: str | None) -> str:
        """Attention of (n_heads, n, d_head) over (n_heads, n_keys, d_head), as (n, d_model)."""
        scores = self.op("MatMul", q, self.op("Transpose", k, perm=[0, 2, 1]))
        if mask is not None:
            scores = self.op("Add", scores, mask)
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), v)
        flat = self.constant("flat", [-1, self._sizes.d_model], np.int64)
        return self.cast(self.op("Reshape", self.op("Transpose", mixed, perm=[1, 0, 2]), flat), _FLOAT)

    def layer_of(self, stacked: str, layer: int, part: int) -> str:
        """Keys (0) or values (1) of one layer, (n_heads, n, d_head), out of (n_layers, 2, n_heads, n, d_head)."""
        of_layer = self.op("Gather", stacked, self.constant(f"i{layer}", layer, np.int64), axis=0)
        return str(self.op("Gather", of_layer, self.constant(f"i{part}", part, np.int64), axis=0))

    def stack(self, pairs: list[tuple[str, str]], name: str) -> None:
        """(n_heads, n, d_head) keys and values of all layers as one output, (n_layers, 2, n_heads, n, d_head)."""
        zero = self.constant("axis0", [0], np.int64)
        flat = [self.op("Unsqueeze", item, zero) for pair in pairs for item in pair]
        together = self.op("Concat", *flat, axis=0)
        shape = np.array([self._sizes.n_layers, 2, self._sizes.n_heads, -1, self._sizes.d_head])
        self.nodes.append(
            self._helper.make_node("Reshape", [together, self.constant(f"{name}_shape", shape, np.int64)], [name])
        )

    def rename(self, result: str, name: str) -> None:
        """Give a result the name of an output."""
        self.nodes.append(self._helper.make_node("Identity", [result], [name]))

    def model(
        self, name: str, inputs: Mapping[str, tuple[int, list[Any]]], outputs: Mapping[str, tuple[int, list[Any]]]
    ) -> bytes:
        from onnx import numpy_helper

        describe = self._helper.make_tensor_value_info
        graph = self._helper.make_graph(
            self.nodes,
            name,
            [describe(name, kind, shape) for name, (kind, shape) in inputs.items()],
            [describe(name, kind, shape) for name, (kind, shape) in outputs.items()],
            [numpy_helper.from_array(np.array(value, order="C"), name) for name, value in self.constants.items()],
        )
        model = self._helper.make_model(graph, opset_imports=[self._helper.make_opsetid("", OPSET)], ir_version=8)
        return bytes(model.SerializeToString())


def decoder_model(weights: Weights, n_heads: int, *, quantize: bool = True) -> bytes:
    """The decoder as a serialized ONNX model; `quantize=False` keeps float32, for GPUs."""
    sizes = Sizes.of(weights, n_heads)
    b = _Builder(weights, sizes, quantize=quantize)
    scale = b.cast(b.constant("scale", sizes.d_head**-0.5), b.precise)
    cos, sin, half_turn = _rotation(b, sizes)

    def rotated(x: str) -> str:
        return str(b.op("Add", b.op("Mul", x, cos), b.op("Mul", b.op("MatMul", x, half_turn), sin)))

    x = b.embedded("tokens")
    present: list[tuple[str, str]] = []
    for layer in range(sizes.n_layers):
        at = f"layers.{layer}"
        h = b.norm(x, f"{at}.input_layernorm")
        q, k, v = map(b.heads, b.joined(h, [f"{at}.self_attn.{part}_proj" for part in "qkv"]))
        q, k = b.op("Mul", rotated(q), scale), rotated(k)
        present.append((k, v))
        keys = b.op("Concat", b.layer_of("past", layer, 0), k, axis=1)
        values = b.op("Concat", b.layer_of("past", layer, 1), v, axis=1)
        x = b.op("Add", x, b.linear(b.attend(q, keys, values, "mask"), f"{at}.self_attn.o_proj"))
        q = b.heads(b.linear(b.norm(x, f"{at}.post_attention_layernorm"), f"{at}.encoder_attn.q_proj"))
        mixed = b.attend(b.op("Mul", q, scale), b.layer_of("cross", layer, 0), b.layer_of("cross", layer, 1), None)
        x = b.op("Add", x, b.linear(mixed, f"{at}.encoder_attn.o_proj"))
        h = b.linear(b.norm(x, f"{at}.final_layernorm"), f"{at}.mlp.fc1")
        h, gate = b.op("Split", b.op("Add", h, b.weight(f"{at}.mlp.fc1.bias")), n_outputs=2, axis=1, num_outputs=2)
        h = b.op("Mul", h, b.op("Mul", gate, b.op("Sigmoid", gate)))
        x = b.op("Add", x, b.op("Add", b.linear(h, f"{at}.mlp.fc2"), b.weight(f"{at}.mlp.fc2.bias")))
    b.stack(present, "present")
    output = b.product(b.norm(x, "norm"), "output", weights[_EMBEDDING].T)
    b.rename(output, "logits")
    stacked = [sizes.n_layers, 2, sizes.n_heads]
    return b.model(
        "decoder",
        {
            "tokens": (_INT64, ["n"]),
            "positions": (_FLOAT, ["n"]),
            "mask": (b.precise, ["n", "n_keys"]),
            "past": (b.precise, [*stacked, "n_past", sizes.d_head]),
            "cross": (b.precise, [*stacked, "n_frames", sizes.d_head]),
        },
        {
            "logits": (_FLOAT, ["n", sizes.n_vocabulary]),
            "present": (b.precise, [*stacked, "n", sizes.d_head]),
        },
    )


def _rotation(b: _Builder, sizes: Sizes) -> tuple[str, str, str]:
    """Rotary embedding (Su et al. 2021): cosines and sines (n, d_head), and the matrix that turns pairs by 90°."""
    n_rotated = int(sizes.d_head * ROTARY_SHARE) // 2 * 2
    frequencies = np.zeros((1, sizes.d_head), np.float32)
    frequencies[0, :n_rotated] = np.repeat(ROTARY_BASE ** -(np.arange(0, n_rotated, 2) / n_rotated), 2)
    half_turn = np.zeros((sizes.d_head, sizes.d_head), np.float32)
    for i in range(0, n_rotated, 2):
        half_turn[i + 1, i], half_turn[i, i + 1] = -1.0, 1.0
    column = b.op("Unsqueeze", "positions", b.constant("axis1", [1], np.int64))
    angles = b.op("Mul", column, b.constant("frequencies", frequencies))
    turns = (b.op("Cos", angles), b.op("Sin", angles), b.constant("half_turn", half_turn))
    cos, sin, quarter = (b.cast(turn, b.precise) for turn in turns)
    return cos, sin, quarter


def cross_model(weights: Weights, n_heads: int, *, quantize: bool = True) -> bytes:
    """The model that turns the encoder's output, `hidden` (1, n_frames, d_model), into `cross`."""
    sizes = Sizes.of(weights, n_heads)
    b = _Builder(weights, sizes, quantize=quantize)
    frames = b.op("Squeeze", "hidden", b.constant("axis0", [0], np.int64))
    pairs: list[tuple[str, str]] = []
    for layer in range(sizes.n_layers):
        names = [f"layers.{layer}.encoder_attn.{part}_proj" for part in "kv"]
        keys, values = map(b.heads, b.joined(frames, names))
        pairs.append((keys, values))
    b.stack(pairs, "cross")
    return b.model(
        "cross",
        {"hidden": (_FLOAT, [1, "n_frames", sizes.d_model])},
        {"cross": (b.precise, [sizes.n_layers, 2, sizes.n_heads, "n_frames", sizes.d_head])},
    )
