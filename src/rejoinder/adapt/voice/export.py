"""A tuned voice back into its donor's ONNX graph: weights are swapped, so every Piper runtime opens the file."""

import json
from pathlib import Path
from typing import Any

import torch

from rejoinder.adapt.voice.model import VoiceModel, is_exponential, weight_names
from rejoinder.tts.vits import read_config, voice_file


def export(voice: VoiceModel, donor: Path, folder: Path, *, name: str, changes: dict[str, Any]) -> Path:
    """Write `folder`/`name`.onnx and its `.onnx.json`; returns the former.

    `donor` is the folder of the voice that was started from, `changes` what is different in its `.onnx.json`.
    """
    import onnx
    from onnx import numpy_helper

    source = voice_file(donor)
    model = onnx.load(str(source))
    weights, names = voice.state_dict(), weight_names(model)
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
