"""CTranslate2's Whisper files as PyTorch weights: what is packaged for running can be fine-tuned, with no hub.

The format is what `ctranslate2.specs.model_spec` writes: a header, then for each variable its name, shape, type and
bytes, then the names that share another's bytes. It is read with numpy alone; nothing in it is executed.
"""

import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.errors import ModelError

Weights = dict[str, NDArray[np.float32]]

BINARY_VERSION = 6
"""Of the format; CTranslate2 3 and 4 write this one."""

_DTYPES = ("float32", "int8", "int16", "int32", "float16", "bfloat16")

_LAYER_PARTS = (
    ("self_attention/layer_norm", ("self_attn_layer_norm",)),
    ("self_attention/linear_0", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
    ("self_attention/linear_1", ("self_attn.out_proj",)),
    ("attention/layer_norm", ("encoder_attn_layer_norm",)),
    ("attention/linear_0", ("encoder_attn.q_proj",)),
    ("attention/linear_1", ("encoder_attn.k_proj", "encoder_attn.v_proj")),
    ("attention/linear_2", ("encoder_attn.out_proj",)),
    ("ffn/layer_norm", ("final_layer_norm",)),
    ("ffn/linear_0", ("fc1",)),
    ("ffn/linear_1", ("fc2",)),
)
"""What a layer's parts are called by CTranslate2, and by transformers, which keeps apart what CTranslate2 stacks."""

_OTHER_PARTS = {
    "conv1": "conv1",
    "conv2": "conv2",
    "layer_norm": "layer_norm",
    "embeddings": "embed_tokens",
    "position_encodings": "embed_positions",
}
_LEAVES = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias", "encodings": "weight"}


@dataclass(frozen=True, slots=True)
class WhisperFile:
    """A Whisper model as CTranslate2 keeps it."""

    weights: Weights
    """By transformers' names, matrices (n_out, n_in)."""
    n_encoder_heads: int
    n_decoder_heads: int
    settings: Mapping[str, Any]
    """Its `config.json`: `suppress_ids`, `suppress_ids_begin`, `lang_ids`, `alignment_heads`."""

    @classmethod
    def read(cls, folder: Path) -> "WhisperFile":
        """Read `model.bin` and `config.json`. Raises `ModelError` when they are missing, damaged or no Whisper's."""
        path = folder / "model.bin"
        try:
            content = np.memmap(path, np.uint8, "r")
            settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{folder}: holds no readable Whisper model for CTranslate2 ({error})") from error
        try:
            spec, variables = _variables(content)
        except (struct.error, IndexError, ValueError) as error:
            raise ModelError(f"{path}: is cut off or damaged ({error}); install the model anew") from error
        if spec != "WhisperSpec":
            raise ModelError(f"{path}: is a {spec}, not a Whisper model")
        try:
            n_heads = {side: int(variables[f"{side}/num_heads"]) for side in ("encoder", "decoder")}
            return cls(dict(_renamed(variables)), n_heads["encoder"], n_heads["decoder"], settings)
        except (KeyError, ValueError) as error:
            raise ModelError(f"{path}: is not a Whisper that is known here ({error})") from error


def _variables(content: NDArray[np.uint8]) -> tuple[str, dict[str, NDArray[Any]]]:
    """The model's kind, and its variables by name."""
    reader = _Reader(content)
    version = reader.number("I")
    if version != BINARY_VERSION:
        raise ValueError(f"format {version}, where {BINARY_VERSION} can be read")
    spec = reader.string()
    reader.number("I")  # revision
    variables: dict[str, NDArray[Any]] = {}
    for _ in range(reader.number("I")):
        name = reader.string()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        dtype = _DTYPES[reader.number("B")]
        variables[name] = _numbers(reader.take(reader.number("I")), dtype).reshape(shape)
    for _ in range(reader.number("I")):
        alias, name = reader.string(), reader.string()
        variables[alias] = variables[name]
    return spec, variables


class _Reader:
    """Numbers and strings, one after the other, little-endian as on every machine that CTranslate2 supports."""

    def __init__(self, content: NDArray[np.uint8]) -> None:
        self._content = content
        self._at = 0

    def take(self, n_bytes: int) -> NDArray[np.uint8]:
        if self._at + n_bytes > len(self._content):
            raise ValueError(f"it ends at byte {len(self._content)}")
        self._at += n_bytes
        return self._content[self._at - n_bytes : self._at]

    def number(self, code: str) -> int:
        return int(struct.unpack(f"<{code}", self.take(struct.calcsize(code)).tobytes())[0])

    def string(self) -> str:
        """Its length, its bytes and a zero, which the length counts."""
        return self.take(self.number("H")).tobytes().removesuffix(b"\0").decode("utf-8")


def _numbers(content: NDArray[np.uint8], dtype: str) -> NDArray[Any]:
    if dtype == "bfloat16":  # the upper half of a float32
        halves = np.frombuffer(content, np.uint16).astype(np.uint32) << 16
        return halves.view(np.float32)
    return np.frombuffer(content, dtype)


def _renamed(variables: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The weights by transformers' names, as float32."""
    for name, value in variables.items():
        side, _, rest = name.partition("/")
        part, _, leaf = rest.rpartition("/")
        if leaf not in _LEAVES or part == "projection":  # the projection is the embedding's twin
            continue
        dense = _dense(value, variables.get(f"{name}_scale"))
        in_layer = re.fullmatch(r"layer_(\d+)/(.+)", part)
        if in_layer is None:
            yield f"model.{side}.{_OTHER_PARTS[part]}.{_LEAVES[leaf]}", dense
            continue
        owners = dict(_LAYER_PARTS)[in_layer[2]]
        for owner, piece in zip(owners, np.split(dense, len(owners)), strict=True):
            if owner.endswith("k_proj") and leaf == "bias":  # Whisper's keys have none: CTranslate2 filled in zeros
                continue
            yield f"model.{side}.layers.{in_layer[1]}.{owner}.{_LEAVES[leaf]}", piece


def _dense(value: NDArray[Any], scale: NDArray[Any] | None) -> NDArray[np.float32]:
    """As float32; whole numbers are divided by the scale of their row (int8) or of the matrix (int16)."""
    dense = value.astype(np.float32)
    if scale is None:
        return dense
    return np.asarray(dense / scale.astype(np.float32).reshape(-1, *[1] * (dense.ndim - 1)), np.float32)
