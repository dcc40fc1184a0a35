"""Moonshine's encoder as a graph of our own, for weights that were fine-tuned.

Products of matrices are in whole numbers, with a scale for each row of activations and each column of weights, as in
`decoder_graph`; the convolutions, which the published int8 graph leaves alone as well, and attention are in float32.

    input_values (1, n_samples), attention_mask (1, n_samples), which nothing reads: there is no padding
 -> hidden (1, n_frames, d_model)

The architecture is that of Jeffries et al. 2024, "Moonshine", as its published graph and transformers'
`modeling_moonshine` (Apache-2.0) have it.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.asr.graph import FLOAT, INT64, Builder, Weights, as_onnx, weight_of
from rejoinder.errors import ModelError

_PREFIX = "model.encoder."
_KERNEL = re.compile(r"(conv[123]\.(?:weight|bias)|layers\.\d+\.[\w.]+|layer_norm\.weight)(?:_add_tensor)?")
_GROUP_NORM = {"Mul": "weight", "Add": "bias"}


def read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """The float weights of a published encoder, `.ort` or `.onnx`, by the names that PyTorch has for them.

    Matrices are (n_in, n_out), kernels as PyTorch has them. Raises `ModelError` when the graph is another one.
    """
    from onnx import numpy_helper

    graph = as_onnx(path)
    tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    weights: dict[str, NDArray[np.float32]] = {}
    for name, tensor in tensors.items():
        if (match := _KERNEL.fullmatch(name)) and tensor.dtype == np.float32:
            weights[f"{_PREFIX}{match[1]}"] = tensor
    for node in graph.node:
        weight = weight_of(node, tensors)
        if weight is not None and node.name.startswith("/layers."):
            name = re.sub(r"/MatMul.*$", "", node.name).strip("/").replace("/", ".")
            weights[f"{_PREFIX}{name}.weight"] = weight
        if node.name in ("/groupnorm/Mul", "/groupnorm/Add"):  # its scale and shift are constants without a name
            constant = next(tensors[i] for i in node.input if i in tensors)
            weights[f"{_PREFIX}groupnorm.{_GROUP_NORM[node.op_type]}"] = np.asarray(constant, np.float32).reshape(-1)
    if f"{_PREFIX}conv1.weight" not in weights or f"{_PREFIX}layers.0.mlp.fc1.weight" not in weights:
        raise ModelError(f"{path}: is not a moonshine encoder (it has no {_PREFIX}conv1.weight)")
    return weights


def encoder_model(weights: Weights, n_heads: int, *, quantize: bool = True) -> bytes:
    """The encoder as a serialized ONNX model; `quantize=False` keeps float32."""
    d_model = weights[f"{_PREFIX}conv1.weight"].shape[0]
    n_layers = sum(name.startswith(_PREFIX) and name.endswith(".mlp.fc1.weight") for name in weights)
    b = Builder(weights, _PREFIX, d_model=d_model, n_heads=n_heads, quantize=quantize)
    scale = b.constant("scale", b.d_head**-0.5)
    x = _frames(b)
    n_frames = b.op("Squeeze", b.op("Shape", x, start=0, end=1), b.constant("axis0", [0], np.int64))
    zero, one = b.constant("i0", 0, np.int64), b.constant("i1", 1, np.int64)
    rotated = b.rotation(b.op("Cast", b.op("Range", zero, n_frames, one), to=FLOAT))
    for layer in range(n_layers):
        at = f"layers.{layer}"
        h = b.norm(x, f"{at}.input_layernorm")
        q, k, v = map(b.heads, b.joined(h, [f"{at}.self_attn.{part}_proj" for part in "qkv"]))
        mixed = b.attend(b.op("Mul", rotated(q), scale), rotated(k), v, None)
        x = b.op("Add", x, b.linear(mixed, f"{at}.self_attn.o_proj"))
        h = b.linear(b.norm(x, f"{at}.post_attention_layernorm"), f"{at}.mlp.fc1")
        h = b.linear(_gelu(b, b.op("Add", h, b.weight(f"{at}.mlp.fc1.bias"))), f"{at}.mlp.fc2")
        x = b.op("Add", x, b.op("Add", h, b.weight(f"{at}.mlp.fc2.bias")))
    b.rename(b.op("Unsqueeze", b.norm(x, "layer_norm"), b.constant("axis0", [0], np.int64)), "hidden")
    return b.model(
        "encoder",
        {"input_values": (FLOAT, [1, "n_samples"]), "attention_mask": (INT64, [1, "n_samples"])},
        {"hidden": (FLOAT, [1, "n_frames", d_model])},
    )


def _frames(b: Builder) -> Any:
    """`input_values` (1, n_samples) through the convolutions, as (n_frames, d_model)."""
    x = b.op("Unsqueeze", "input_values", b.constant("axis1", [1], np.int64))  # (1, 1, n_samples)
    x = b.op("Tanh", b.op("Conv", x, b.weight("conv1.weight"), strides=[64]))
    # One group: mean and variance over all channels and frames.
    axes = b.constant("axes", [1, 2], np.int64)
    centred = b.op("Sub", x, b.op("ReduceMean", x, axes, keepdims=1))
    variance = b.op("ReduceMean", b.op("Mul", centred, centred), axes, keepdims=1)
    deviation = b.op("Sqrt", b.op("Add", variance, b.constant("epsilon", 1e-5)))
    scale, shift = (b.op("Unsqueeze", b.weight(f"groupnorm.{n}"), "axis1") for n in ("weight", "bias"))
    x = b.op("Add", b.op("Mul", b.op("Div", centred, deviation), scale), shift)
    for name, stride in (("conv2", 3), ("conv3", 2)):
        x = _gelu(b, b.op("Conv", x, b.weight(f"{name}.weight"), b.weight(f"{name}.bias"), strides=[stride]))
    return b.op("Transpose", b.op("Squeeze", x, b.constant("axis0", [0], np.int64)), perm=[1, 0])


def _gelu(b: Builder, x: str) -> str:
    share = b.op("Erf", b.op("Div", x, b.constant("root2", 2**0.5)))
    return str(b.op("Mul", b.op("Mul", x, b.op("Add", share, b.constant("1", 1.0))), b.constant("half", 0.5)))
