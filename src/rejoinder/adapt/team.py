"""The processes that train one model together: each takes a part of a batch, and their gradients are added up (DDP).

The team is PyTorch's process group, whoever started it (Ray Train, torchrun); without one a process trains alone. All
members begin with the first's weights and make the same updates. PyTorch's `DistributedDataParallel` is not used: it
adds up during the backward pass, and where memory does not suffice there, each process cuts its part as it must.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

Example = TypeVar("Example")


@dataclass(frozen=True, slots=True)
class Team:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1

    @classmethod
    def of_this_process(cls) -> "Team":
        """The process group, where there is one."""
        if distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls()

    @property
    def leads(self) -> bool:
        """Whether this is the first process, which alone validates, and writes to the training's folder."""
        return self.rank == 0

    def part(self, batch: Sequence[Example]) -> tuple[int, Sequence[Example]]:
        """Where in a batch this process's part begins, and the part; it may be empty."""
        size = -(-len(batch) // self.size)
        first = min(self.rank * size, len(batch))
        return first, batch[first : first + size]

    def add_up(self, weights: Sequence[nn.Parameter], loss: float) -> float:
        """Add up the gradients of all, in place, and their losses; a weight of which nobody has one keeps none."""
        if self.size == 1:
            return loss
        own = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        about = own[0].new_tensor([loss, *(float(weight.grad is not None) for weight in weights)])
        everything = torch.cat([about, *(gradient.flatten() for gradient in own)])  # one message rather than many
        distributed.all_reduce(everything)
        counts, at = about.numel(), about.numel()
        for weight, n_with in zip(weights, everything[1:counts].tolist(), strict=True):
            if n_with:
                weight.grad = everything[at : at + weight.numel()].view_as(weight)
            at += weight.numel()
        return float(everything[0])

    def firsts(self, value: Any) -> Any:
        """What the first process has for a small value."""
        if self.size == 1:
            return value
        box = [value if self.leads else None]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def firsts_tensors(self, tensors: Mapping[str, Tensor], device: torch.device) -> Mapping[str, Tensor]:
        """The first process's tensors by their names; what the others give is left aside."""
        if self.size == 1:
            return tensors
        shapes = self.firsts([(name, tensor.shape, tensor.dtype) for name, tensor in tensors.items()])
        found: dict[str, Tensor] = {}
        for name, shape, dtype in shapes:
            found[name] = (
                tensors[name].to(device).contiguous() if self.leads else torch.empty(shape, dtype=dtype, device=device)
            )
            distributed.broadcast(found[name], src=0)
        return found
