"""Moonshine's weights between published graphs, Hugging Face's files, PyTorch and graphs of our own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from google.protobuf.message import DecodeError
from huggingface_hub.errors import StrictDataclassError
from numpy.typing import NDArray
from transformers import MoonshineConfig, MoonshineForConditionalGeneration

from rejoinder.adapt.asr import hub
from rejoinder.asr import decoder_graph, encoder_graph
from rejoinder.asr.decoder import OWN_CROSS, OWN_DECODER, n_heads_of
from rejoinder.asr.graph import N_ROTATED, ROTARY_BASE, ZERO_POINT, dequantized
from rejoinder.asr.moonshine import model_file
from rejoinder.errors import ModelError

_EMBEDDING = "model.decoder.embed_tokens.weight"


def load_published(folder: Path) -> MoonshineForConditionalGeneration:
    """A published moonshine, `encoder_model` and `decoder_model_merged` (each .ort or .onnx), as a PyTorch model.

    Whole numbers become the float32 that they stand for, so the model transcribes as the published one does, up to the
    rounding of activations. Raises `ModelError` when a file is missing or another model's.
    """
    decoder_path = model_file(folder, "decoder_model_merged")
    weights = encoder_graph.read_weights(model_file(folder, "encoder_model")) | decoder_graph.read_weights(decoder_path)
    return _model(weights, n_heads_of(decoder_path), folder)


def load_ours(folder: Path) -> MoonshineForConditionalGeneration:
    """A moonshine that was fine-tuned here, from the graphs that `export` wrote; raises `ModelError` like the above."""
    import onnx

    weights: dict[str, NDArray[np.float32]] = {}
    try:
        for name, prefix in (("encoder_model.onnx", "encoder"), (OWN_CROSS, "decoder"), (OWN_DECODER, "decoder")):
            graph = onnx.load(str(folder / name)).graph
            weights |= dict(_constants(graph, f"model.{prefix}."))
        past = next(i.type.tensor_type.shape for i in graph.input if i.name == "past")
        n_heads = int(past.dim[2].dim_value)
    except (OSError, DecodeError, StopIteration) as error:
        raise ModelError(f"{folder}: is not a moonshine that was fine-tuned here ({error})") from error
    return _model(weights, n_heads, folder)


def load_of_hub(folder: Path) -> MoonshineForConditionalGeneration:
    """A moonshine as Hugging Face's hub has it, `config.json` and `model.safetensors`.

    Raises `ModelError` when it cannot be read, or is built in a way that the runtime's graphs are not.
    """
    try:
        config = MoonshineConfig.from_dict(hub.read_json(folder / "config.json"))
        model = MoonshineForConditionalGeneration(config).eval()
    except (TypeError, ValueError, KeyError, ZeroDivisionError, StrictDataclassError) as error:
        raise ModelError(f"{folder}: its config.json describes no moonshine ({error})") from error
    n_heads = config.encoder_num_attention_heads
    rotary = 2 * len(model.model.encoder.rotary_emb.inv_freq), config.rope_parameters["rope_theta"]
    heads = {config.decoder_num_attention_heads, config.encoder_num_key_value_heads, config.decoder_num_key_value_heads}
    activations = config.encoder_hidden_act, config.decoder_hidden_act
    known = rotary == (N_ROTATED, ROTARY_BASE) and heads == {n_heads} and activations == ("gelu", "silu")
    if not known or config.attention_bias or not config.tie_word_embeddings:
        raise ModelError(f"{folder}: its config.json describes another moonshine than those of the paper (tiny, base)")
    hub.fill(model, hub.read_weights(folder), folder)
    return model


def _constants(graph: Any, prefix: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The weights in a graph that `asr.graph.Builder` made, as they were given to it."""
    from onnx import numpy_helper

    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for name, tensor in tensors.items():
        scale = tensors.get(f"{name}.scale")
        value = tensor if scale is None else dequantized(tensor, scale, np.uint8(ZERO_POINT))
        if name == "embedding":
            yield _EMBEDDING, value
        elif "+" in name and not name.endswith(".scale"):
            names = name.split("+")
            for own_name, part in zip(names, np.split(value, len(names), axis=1), strict=True):
                yield f"{prefix}{own_name}.weight", part
        elif name.endswith((".weight", ".bias")):
            yield f"{prefix}{name}", value


def _model(weights: dict[str, NDArray[np.float32]], n_heads: int, folder: Path) -> MoonshineForConditionalGeneration:
    try:
        config = _config(weights, n_heads)
    except KeyError as error:
        raise ModelError(f"{folder}: is not a moonshine that is known here (it has no {error})") from error
    model = MoonshineForConditionalGeneration(config).eval()
    state = {name: torch.from_numpy(_turned(name, weight)) for name, weight in weights.items()}
    hub.fill(model, state, folder)
    return model


def numpy_weights(model: MoonshineForConditionalGeneration) -> dict[str, NDArray[np.float32]]:
    """The weights of a PyTorch model as `decoder_graph` and `encoder_graph` take them: matrices are (n_in, n_out)."""
    return {
        name: _turned(name, weight.detach().float().cpu().numpy())
        for name, weight in model.state_dict().items()
        if name != "proj_out.weight"
    }


def _turned(name: str, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """A matrix (n_in, n_out) as PyTorch's (n_out, n_in), and back; everything else as it is."""
    is_matrix = weight.ndim == 2 and name != _EMBEDDING
    return np.array(weight.T if is_matrix else weight, np.float32, order="C")


def _config(weights: dict[str, NDArray[np.float32]], n_heads: int) -> MoonshineConfig:
    n_vocabulary, d_model = weights[_EMBEDDING].shape

    def n_layers(part: str) -> int:
        return sum(name.startswith(f"model.{part}.layers.") and name.endswith("fc1.weight") for name in weights)

    return MoonshineConfig(
        vocab_size=n_vocabulary,
        hidden_size=d_model,
        intermediate_size=weights["model.encoder.layers.0.mlp.fc1.weight"].shape[1],
        encoder_num_hidden_layers=n_layers("encoder"),
        decoder_num_hidden_layers=n_layers("decoder"),
        encoder_num_attention_heads=n_heads,
        decoder_num_attention_heads=n_heads,
        partial_rotary_factor=(N_ROTATED + 0.5) / (d_model // n_heads),
    )
