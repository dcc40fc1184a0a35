"""What moonshine's graphs of our own are made from: the weights of published ones, and a builder of nodes."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.errors import ModelError

Weights = Mapping[str, NDArray[np.float32]]
"""By the names that PyTorch has for them; matrices are (n_in, n_out)."""

OPSET = 18
ROTARY_BASE = 10_000.0
N_ROTATED = 32
"""Dimensions of a head that carry the position, in every moonshine (tiny 0.9 of 36, base 0.62 of 52)."""

ZERO_POINT = 128
"""What stands for zero among the whole numbers 1 to 255."""

FLOAT, UINT8, INT64, DOUBLE = 1, 2, 7, 11  # onnx.TensorProto's codes
_QUANTIZED_MATMULS = {"DynamicQuantizeMatMul": (1, 2, 3), "MatMulIntegerToFloat": (1, 3, 5)}
"""ONNX Runtime's quantized products: where their inputs hold weight, scale and zero point."""


def dequantized(values: Any, scale: Any, zero_point: Any) -> NDArray[np.float32]:
    """Whole numbers as what they stand for."""
    return np.asarray((values.astype(np.float32) - zero_point.astype(np.float32)) * scale, np.float32)


def rounded(matrix: NDArray[np.float32], *, axis: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A matrix in whole numbers around `ZERO_POINT`, with one scale for all values along `axis`."""
    scale = np.maximum(np.abs(matrix).max(axis=axis, keepdims=True), 1e-8) / 127
    return (np.round(matrix / scale) + ZERO_POINT).astype(np.uint8), scale.astype(np.float32)


def weight_of(node: Any, tensors: Mapping[str, Any]) -> NDArray[np.float32] | None:
    """The weight that a node multiplies by, if it is one of the model's."""
    if node.op_type == "MatMul" and node.input[1] in tensors:
        return np.asarray(tensors[node.input[1]], np.float32)
    if node.op_type in _QUANTIZED_MATMULS:
        weight, scale, zero_point = (node.input[i] for i in _QUANTIZED_MATMULS[node.op_type])
        if weight in tensors:
            return dequantized(tensors[weight], tensors[scale], tensors[zero_point])
    return None


def as_onnx(path: Path) -> Any:
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
        try:
            onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            return onnx.load(str(out)).graph
        except Exception as error:  # ONNX Runtime's own exceptions have no common base
            raise ModelError(
                f"{path}: cannot be read as an ONNX graph ({error}); is there room for temporary files in {folder}?"
            ) from error


def subgraphs(graph: Any) -> Iterator[Any]:
    """A graph and all that are within it, as branches of its conditions."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from subgraphs(attribute.g)


class Builder:
    """Nodes and constants of a graph under construction; every method returns the name of its result."""

    def __init__(
        self, weights: Weights, prefix: str, *, d_model: int, n_heads: int, quantize: bool, precise: int = FLOAT
    ) -> None:
        """`weights` are named without `prefix`; attention is computed in the type `precise`."""
        from onnx import helper

        self._helper = helper
        self._quantize = quantize
        self._quantized: dict[str, tuple[str, str]] = {}
        self._prefix = prefix
        self._weights = weights
        self._n_heads = n_heads
        self._d_model = d_model
        self.d_head = d_model // n_heads
        self.precise = precise
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
        return self.constant(name, self._weights[f"{self._prefix}{name}"])

    def product(self, x: str, name: str, matrix: NDArray[np.float32]) -> str:
        """`x` (n, n_in) times `matrix` (n_in, n_out): in whole numbers, scaled by row of `x` and column of `matrix`."""
        if not self._quantize:
            return str(self.op("MatMul", x, self.constant(name, matrix)))
        rows, scale = self.rounded_rows(x)
        columns, column_scale = rounded(matrix, axis=0)
        whole = self.op(
            "MatMulInteger", rows, self.constant(name, columns, np.uint8), self.zero_point(), self.zero_point()
        )
        scaled = self.op("Mul", self.op("Cast", whole, to=FLOAT), scale)
        return str(self.op("Mul", scaled, self.constant(f"{name}.scale", column_scale)))

    def zero_point(self) -> str:
        return self.constant("zero_point", ZERO_POINT, np.uint8)

    def rounded_rows(self, x: str) -> tuple[str, str]:
        """`x` in whole numbers around `ZERO_POINT`, with the scale of each row (n, 1)."""
        if x not in self._quantized:
            largest = self.op("ReduceMax", self.op("Abs", x), self.constant("last", [-1], np.int64), keepdims=1)
            scale = self.op("Mul", self.op("Max", largest, self.constant("tiny", 1e-8)), self.constant("unit", 1 / 127))
            whole = self.op("Add", self.op("Round", self.op("Div", x, scale)), self.constant("center", ZERO_POINT))
            self._quantized[x] = (self.op("Cast", whole, to=UINT8), scale)
        return self._quantized[x]

    def embedded(self, tokens: str) -> str:
        """The embedding of each token, (n, d_model)."""
        table = self._weights[f"{self._prefix}embed_tokens.weight"]
        if not self._quantize:
            return str(self.op("Gather", self.constant("embedding", table), tokens, axis=0))
        values, scale = rounded(table, axis=1)
        rows = self.op("Gather", self.constant("embedding", values, np.uint8), tokens, axis=0)
        scales = self.op("Gather", self.constant("embedding.scale", scale), tokens, axis=0)
        centred = self.op("Sub", self.op("Cast", rows, to=FLOAT), self.constant("center", ZERO_POINT))
        return str(self.op("Mul", centred, scales))

    def linear(self, x: str, name: str) -> str:
        return self.product(x, f"{name}.weight", self._weights[f"{self._prefix}{name}.weight"])

    def joined(self, x: str, names: list[str]) -> list[str]:
        """Several products with the same input as one, which reads the input once."""
        matrix = np.concatenate([self._weights[f"{self._prefix}{name}.weight"] for name in names], axis=1)
        product = self.product(x, "+".join(names), matrix)
        return list(self.op("Split", product, n_outputs=len(names), axis=1, num_outputs=len(names)))

    def norm(self, x: str, name: str) -> str:
        return str(self.op("LayerNormalization", x, self.weight(f"{name}.weight"), axis=-1, epsilon=1e-5))

    def heads(self, x: str) -> str:
        """(n, d_model) -> (n_heads, n, d_head), in the precision of attention."""
        shape = self.constant("heads", [-1, self._n_heads, self.d_head], np.int64)
        return self.cast(self.op("Transpose", self.op("Reshape", x, shape), perm=[1, 0, 2]), self.precise)

    def cast(self, x: str, kind: int) -> str:
        return x if kind == self.precise == FLOAT else str(self.op("Cast", x, to=kind))

    def attend(self, q: str, k: str, v: str, mask: str | None) -> str:
        """Attention of (n_heads, n, d_head) over (n_heads, n_keys, d_head), as (n, d_model)."""
        scores = self.op("MatMul", q, self.op("Transpose", k, perm=[0, 2, 1]))
        if mask is not None:
            scores = self.op("Add", scores, mask)
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), v)
        flat = self.constant("flat", [-1, self._d_model], np.int64)
        return self.cast(self.op("Reshape", self.op("Transpose", mixed, perm=[1, 0, 2]), flat), FLOAT)

    def rotation(self, positions: str) -> Callable[[str], str]:
        """Rotary embedding (Su et al. 2021) for `positions` (n,): what turns (n_heads, n, d_head) by them."""
        frequencies = np.zeros((1, self.d_head), np.float32)
        frequencies[0, :N_ROTATED] = np.repeat(ROTARY_BASE ** -(np.arange(0, N_ROTATED, 2) / N_ROTATED), 2)
        half_turn = np.zeros((self.d_head, self.d_head), np.float32)
        for i in range(0, N_ROTATED, 2):
            half_turn[i + 1, i], half_turn[i, i + 1] = -1.0, 1.0
        column = self.op("Unsqueeze", positions, self.constant("axis1", [1], np.int64))
        angles = self.op("Mul", column, self.constant("frequencies", frequencies))
        turns = (self.op("Cos", angles), self.op("Sin", angles), self.constant("half_turn", half_turn))
        cos, sin, quarter = (self.cast(turn, self.precise) for turn in turns)

        def rotated(x: str) -> str:
            return str(self.op("Add", self.op("Mul", x, cos), self.op("Mul", self.op("MatMul", x, quarter), sin)))

        return rotated

    def layer_of(self, stacked: str, layer: int, part: int) -> str:
        """Keys (0) or values (1) of one layer, (n_heads, n, d_head), out of (n_layers, 2, n_heads, n, d_head)."""
        of_layer = self.op("Gather", stacked, self.constant(f"i{layer}", layer, np.int64), axis=0)
        return str(self.op("Gather", of_layer, self.constant(f"i{part}", part, np.int64), axis=0))

    def stack(self, pairs: list[tuple[str, str]], name: str) -> None:
        """(n_heads, n, d_head) keys and values of all layers as one output, (n_layers, 2, n_heads, n, d_head)."""
        zero = self.constant("axis0", [0], np.int64)
        flat = [self.op("Unsqueeze", item, zero) for pair in pairs for item in pair]
        together = self.op("Concat", *flat, axis=0)
        shape = np.array([len(pairs), 2, self._n_heads, -1, self.d_head])
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
