"""What fine-tuning needs to know of a pretrained recognizer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from rejoinder.events import Samples

IGNORED = -100
"""Stands where a target sequence has ended; the number that PyTorch's cross-entropy leaves out."""


class Trainable(Protocol):
    """A pretrained recognizer in PyTorch."""

    module: Any
    """One of transformers' models."""

    def tokens(self, text: str) -> tuple[int, ...]:
        """The tokens of a text, without marks; raises `AdaptError` when it has characters that cannot be written."""
        ...

    def n_most_tokens(self, duration_s: float) -> int:
        """How many tokens the runtime writes at most for so much audio."""
        ...

    def batch(self, audio: Sequence[Samples], targets: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        """Audio and its tokens, padded; `targets` (n_batch, n_tokens) is in it, `IGNORED` where there is none."""
        ...

    def logits(self, module: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """What `module` expects in the places of the targets that count, (n_targets, n_vocabulary)."""
        ...

    def transcribe(self, audio: Sequence[Samples]) -> list[str]:
        """Greedy transcripts."""
        ...

    def export(self, folder: Path) -> None:
        """Write what the runtime opens."""
        ...
