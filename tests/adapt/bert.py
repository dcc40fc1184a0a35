"""A BERT of 64 dimensions, untrained: what the tests fine-tune in seconds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertModel

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""What a BERT's vocabulary begins with."""


def write_bert(folder: Path, vocabulary: Sequence[str], **config: Any) -> Path:
    """Write the encoder as transformers does, with its vocabulary; the same weights each time."""
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(0)
    sizes = {"vocab_size": len(vocabulary), "hidden_size": 64, "intermediate_size": 128, "initializer_range": 0.1}
    BertModel(BertConfig(**sizes, **config), add_pooling_layer=False).save_pretrained(folder)
    return folder
