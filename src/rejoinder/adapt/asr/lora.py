"""Low-rank adaptation (Hu et al. 2021, "LoRA"): small factors beside the matrices are trained, then added to them."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from rejoinder.errors import AdaptError, require_extra

MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "out_proj", "fc1", "fc2")
"""All matrices of the attention and feed-forward layers, by their names in Moonshine and in Whisper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraOptions:
    """Which matrices get factors, and of which size."""

    rank: int = 16
    """Columns of one factor and rows of the other."""
    scale: float = 2.0
    """By which the factors' product is multiplied before it is added; `lora_alpha` over `rank` elsewhere."""
    learning_rate: float = 1e-3
    """In place of the recipe's: the factors begin at zero and need larger steps than weights that are nearly right."""
    dropout: float = 0.05
    """Share of the inputs of the factors that is left out at random in training."""
    matrices: tuple[str, ...] = MATRICES
    """The last part of the names of the matrices that get factors."""


@contextmanager
def low_rank(module: nn.Module, options: LoraOptions, *, seed: int = 0) -> Iterator[None]:
    """Within the block, `module` trains by small factors, everything else frozen; at its end they are merged.

    After it, `module` has the parameters that it had before, those beside `options.matrices` unchanged. Where the block
    ends in an exception the factors are dropped. Raises `AdaptError` when no matrix has one of the names.
    """
    require_extra("train", "peft")
    from peft import LoraConfig, get_peft_model

    trained = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    config = LoraConfig(
        r=options.rank,
        lora_alpha=round(options.scale * options.rank),
        lora_dropout=options.dropout,
        target_modules=list(options.matrices),
        bias="none",
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about tied embeddings, which get no factors here
        torch.manual_seed(seed)  # a training that is resumed must start from the same factors
        try:
            adapted = get_peft_model(module, config)
        except ValueError as error:
            names = ", ".join(options.matrices)
            raise AdaptError(f"LoRA: the model has no matrices of these names: {names}") from error
    try:
        yield
    except BaseException:
        adapted.unload()
        raise
    else:
        adapted.merge_and_unload()
    finally:
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(trained[name])
