"""A tuned voice back into its donor's ONNX graph, with its own decoder: every Piper runtime opens the file.

The other weights are swapped in place. The decoder is traced and stands where the donor's was.
"""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rejoinder.adapt.graph import trace
from rejoinder.adapt.voice.model import N_CHANNELS, VoiceModel, is_exponential, weight_names
from rejoinder.adapt.voice.source_filter import SourceFilterDecoder
from rejoinder.tts.vits import read_config, voice_file

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

_PREFIX = "dec/"  # of the new decoder's names; the donor's begin with "/dec/" and "dec."


def export(voice: VoiceModel, donor: Path, folder: Path, *, name: str, changes: dict[str, Any]) -> Path:
    """Write `folder`/`name`.onnx and its `.onnx.json`; returns the former.

    `donor` is the folder of the voice that was started from, `changes` what is different in its `.onnx.json`.
    """
    import onnx
    from onnx import numpy_helper

    source = voice_file(donor)
    model = onnx.load(str(source))
    weights, names = voice.state_dict(), weight_names(model)
    if isinstance(voice.dec, SourceFilterDecoder):
        _replace_decoder(model, _traced(voice.dec, model.opset_import[0].version))
    for tensor in model.graph.initializer:
        if tensor.name in names:
            value = weights[names[tensor.name]].detach().cpu()
            value = torch.exp(-value) if is_exponential(tensor.name) else value
            tensor.CopyFrom(numpy_helper.from_array(value.float().contiguous().numpy(), tensor.name))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    onnx.save(model, str(path))
    config = json.dumps({**read_config(source), **changes}, indent=2, ensure_ascii=False)
    Path(f"{path}.json").write_text(config + "\n", encoding="utf-8")
    return path


def _traced(decoder: SourceFilterDecoder, opset: int) -> "GraphProto":
    """The decoder as a graph from "z" to "samples" whose other names begin with `_PREFIX`."""
    import onnx

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "decoder.onnx"
        latent = torch.zeros(1, N_CHANNELS, 50)
        axes = {"z": {2: "n_frames"}, "samples": {1: "n_samples"}}
        trace(decoder, {"z": latent}, ["samples"], path, axes=axes, opset=opset)
        return onnx.compose.add_prefix_graph(onnx.load(str(path)).graph, _PREFIX)


def _replace_decoder(model: "ModelProto", decoder: "GraphProto") -> None:
    """Put `decoder` where the donor's decoder was: its first node reads the latent, its last one gives the samples."""
    graph = model.graph
    old = [node for node in graph.node if node.name.startswith("/dec/")]
    latent, samples = old[0].input[0], old[-1].output[0]
    stays = [node for node in graph.node if not node.name.startswith("/dec/")]
    renamed = {decoder.input[0].name: latent, decoder.output[0].name: samples}
    for node in decoder.node:
        for names in (node.input, node.output):
            for n, given in enumerate(names):
                names[n] = renamed.get(given, given)
    at = next(n for n, node in enumerate(stays) if samples in node.input)
    del graph.node[:]
    graph.node.extend([*stays[:at], *decoder.node, *stays[at:]])
    used = {given for node in graph.node for given in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *decoder.initializer])
