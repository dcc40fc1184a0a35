"""Where a training stands, on the disk: safetensors, never a pickle, and always whole."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rejoinder.errors import AdaptError

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One moment of a training."""

    about: Mapping[str, str]
    """Texts by name; "key" tells trainings apart."""
    tensors: Mapping[str, Tensor]
    """By kind and name: "weights/encoder.bias"."""

    def of_kind(self, kind: str) -> dict[str, Tensor]:
        """The tensors of a kind, by name."""
        prefix = f"{kind}/"
        return {name.removeprefix(prefix): one for name, one in self.tensors.items() if name.startswith(prefix)}

    @property
    def kinds(self) -> set[str]:
        """The kinds of tensors that there are."""
        return {name.partition("/")[0] for name in self.tensors}

    def write(self, folder: Path) -> None:
        """Put it in the place of the folder's last one; raises `AdaptError` where the disk does not take it."""
        scratch = folder / f"{CHECKPOINT}.{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tensors = {name: tensor.contiguous().clone() for name, tensor in self.tensors.items()}
            save_file(tensors, scratch, metadata=dict(self.about))
            scratch.replace(folder / CHECKPOINT)
        except (OSError, SafetensorError) as error:
            with suppress(OSError):
                scratch.unlink()
            raise AdaptError(
                f"{folder}: the checkpoint cannot be written ({error}); make room there and type the same command"
            ) from error

    @classmethod
    def read(cls, folder: Path, key: str, device: torch.device) -> "Checkpoint | None":
        """The folder's, if there is one of this very training."""
        path = folder / CHECKPOINT
        if not path.is_file():
            return None
        try:
            with safe_open(path, "pt", device=str(device)) as file:
                about = file.metadata()
                if about.get("key") != key:
                    return None
                return cls(about, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118  # no mapping
        except SafetensorError:  # cut off by a full disk, say: start anew
            return None
