"""From the trained network to the folder that `nlu.joint.JointModel` opens: an int8 ONNX graph, tokenizer, labels."""

import shutil
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer

from rejoinder.adapt.graph import export_graph
from rejoinder.adapt.nlu.model import JointNetwork
from rejoinder.nlu.joint import LABELS, MODEL, TOKENIZER, Labels


def export(network: JointNetwork, tokenizer: Tokenizer, labels: Labels, folder: Path, *, int8: bool = True) -> Path:
    """Write the model's files to `folder`, which appears whole or not at all; returns it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch) / "model"
        made.mkdir()
        tokens = torch.ones((2, 5), dtype=torch.long)
        inputs = {"input_ids": tokens, "attention_mask": tokens}
        export_graph(network, inputs, ["cosines", "tags"], made / MODEL, pooled=["cosines"], int8=int8)
        tokenizer.save(str(made / TOKENIZER))
        labels.write(made / LABELS)
        if folder.exists():
            shutil.rmtree(folder)
        made.replace(folder)
    return folder
