"""Models in the layout of Hugging Face's hub: `config.json` and safetensors, and nothing that is unpickled."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rejoinder.errors import ModelError

WEIGHTS, SHARDS = "model.safetensors", "model.safetensors.index.json"
"""The file of all weights; the list of files, where there are several."""

_TIED = "proj_out.weight"
"""The same as the embedding, and not always written twice."""


def holds_hub_model(folder: Path) -> bool:
    """Whether a folder has this layout."""
    return (folder / WEIGHTS).is_file() or (folder / SHARDS).is_file()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; raises `ModelError`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: is missing or no JSON ({error})") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: is not a JSON object")
    return content


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All weights, as float32 whatever they are kept in; raises `ModelError`."""
    names = [WEIGHTS]
    if not (folder / WEIGHTS).is_file():
        names = sorted(set(read_json(folder / SHARDS).get("weight_map", {}).values()))
    weights: dict[str, Tensor] = {}
    for name in names:
        try:
            weights |= load_file(folder / name)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{folder / name}: cannot be read ({error}); fetch the model anew") from error
    return {name: weight.float() for name, weight in weights.items()}


def fill(module: Any, weights: Mapping[str, Tensor], origin: Path) -> None:
    """Put `weights` into one of transformers' models; raises `ModelError` when they are not exactly its own."""
    try:
        missing, unexpected = module.load_state_dict(dict(weights), strict=False)
    except RuntimeError as error:  # other shapes
        raise ModelError(f"{origin}: its weights do not fit the model that it says it is ({error})") from error
    wrong = [name for name in (*missing, *unexpected) if name != _TIED]
    if wrong:
        raise ModelError(f"{origin}: holds another model's weights ({', '.join(wrong[:4])})")
    with torch.no_grad():
        module.tie_weights()
