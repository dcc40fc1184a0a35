"""CTranslate2's files are read as what they say."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rejoinder.adapt.asr.ctranslate import WhisperFile
from rejoinder.errors import ModelError

SETTINGS = {"suppress_ids": [1], "lang_ids": [2]}


def string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def variable(name: str, value: NDArray[np.generic], type_id: int) -> bytes:
    shape = struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
    return string(name) + shape + struct.pack("<BI", type_id, value.nbytes) + value.tobytes()


def write(folder: Path, variables: list[bytes], *, spec: str = "WhisperSpec", version: int = 6) -> Path:
    """A model as CTranslate2 writes it, its projection another name of its embedding."""
    aliases = struct.pack("<I", 1) + string("decoder/projection/weight") + string("decoder/embeddings/weight")
    head = struct.pack("<I", version) + string(spec) + struct.pack("<II", 3, len(variables))
    (folder / "model.bin").write_bytes(head + b"".join(variables) + aliases)
    (folder / "config.json").write_text(json.dumps(SETTINGS))
    return folder


VARIABLES = [
    variable("encoder/num_heads", np.array(2, np.int16), 2),
    variable("decoder/num_heads", np.array(4, np.int16), 2),
    variable("decoder/embeddings/weight", np.array([[100, -50], [127, 0]], np.int8), 1),
    variable("decoder/embeddings/weight_scale", np.array([10, 127], np.float32), 0),
    variable("decoder/layer_norm/gamma", np.array([0x3FC0, 0xBF80], np.uint16), 5),  # bfloat16
    variable("encoder/conv1/bias", np.array([0.5, -2], np.float16), 4),
    variable("encoder/layer_3/self_attention/linear_0/weight", np.arange(6, dtype=np.float32).reshape(3, 2), 0),
    variable("encoder/layer_3/self_attention/linear_0/bias", np.arange(3, dtype=np.float32), 0),
    variable("decoder/layer_0/attention/linear_1/weight", np.array([[300], [-90]], np.int16), 2),
    variable("decoder/layer_0/attention/linear_1/weight_scale", np.array(30, np.float32), 0),
    variable("decoder/layer_0/ffn/layer_norm/beta", np.zeros(2, np.float32), 0),
]


def test_every_kind_of_number_is_read(tmp_path: Path) -> None:
    file = WhisperFile.read(write(tmp_path, VARIABLES))
    assert (file.n_encoder_heads, file.n_decoder_heads, file.settings) == (2, 4, SETTINGS)
    expected = {
        "model.decoder.embed_tokens.weight": [[10, -5], [1, 0]],
        "model.decoder.layer_norm.weight": [1.5, -1],
        "model.encoder.conv1.bias": [0.5, -2],
        "model.encoder.layers.3.self_attn.q_proj.weight": [[0, 1]],
        "model.encoder.layers.3.self_attn.k_proj.weight": [[2, 3]],
        "model.encoder.layers.3.self_attn.v_proj.weight": [[4, 5]],
        "model.encoder.layers.3.self_attn.q_proj.bias": [0],
        "model.encoder.layers.3.self_attn.v_proj.bias": [2],
        "model.decoder.layers.0.encoder_attn.k_proj.weight": [[10]],
        "model.decoder.layers.0.encoder_attn.v_proj.weight": [[-3]],
        "model.decoder.layers.0.final_layer_norm.bias": [0, 0],
    }
    assert {name: weight.tolist() for name, weight in file.weights.items()} == expected
    assert all(weight.dtype == np.float32 for weight in file.weights.values())


def test_a_file_that_is_cut_off_anywhere_is_named(tmp_path: Path) -> None:
    whole = (write(tmp_path, VARIABLES) / "model.bin").read_bytes()
    for n_bytes in range(1, len(whole)):
        (tmp_path / "model.bin").write_bytes(whole[:n_bytes])
        with pytest.raises(ModelError, match=r"model\.bin: is cut off or damaged"):
            WhisperFile.read(tmp_path)


def test_other_models_and_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no readable Whisper model"):
        WhisperFile.read(tmp_path)
    with pytest.raises(ModelError, match="is a TransformerSpec, not a Whisper model"):
        WhisperFile.read(write(tmp_path, VARIABLES, spec="TransformerSpec"))
    with pytest.raises(ModelError, match="format 5, where 6 can be read"):
        WhisperFile.read(write(tmp_path, VARIABLES, version=5))
    with pytest.raises(ModelError, match="is not a Whisper that is known here"):
        WhisperFile.read(write(tmp_path, [*VARIABLES, variable("decoder/odd/weight", np.zeros(1, np.float32), 0)]))
