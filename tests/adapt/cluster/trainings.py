"""Trainings that take a moment, for the processes of a cluster."""

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rejoinder.adapt.team import Team
from rejoinder.adapt.trainer import Batch, train
from rejoinder.errors import AdaptError
from rejoinder.progress import Progress
from tests.adapt.test_trainer import EXAMPLES, OPTIONS, make_model, run, squared, weights

MADE, KILLED, BEGUN = "made.safetensors", "killed", "begun"


def noisy(*, folder: Path, progress: Progress) -> Path:
    """With dropout and augmentation; a checkpoint after every step."""
    model = make_model()
    run(model, folder, replace(OPTIONS, checkpoint_every_s=0.0), progress=progress)
    return _save(model, folder)


def noisy_and_killed(*, folder: Path, progress: Progress) -> Path:
    """The same, whose process is killed in the middle, once."""

    def killing(task: str, n_done: int, n_total: int, note: str = "") -> None:
        progress(task, n_done, n_total, note)
        if n_done == n_total // 2 and not (folder / KILLED).exists():
            (folder / KILLED).touch()
            os.kill(os.getpid(), signal.SIGKILL)

    return noisy(folder=folder, progress=killing)


def plain(*, folder: Path, progress: Progress) -> Path:
    """With nothing random in it; its score is the loss on all examples."""

    def batched(numbers: Sequence[int], _: np.random.Generator) -> Batch:
        x = torch.tensor([[number / 10] for number in numbers])
        return {"x": x, "y": torch.sin(x)}

    def validate(module: nn.Module) -> float:
        return float(squared(module, batched(EXAMPLES, np.random.default_rng())))

    torch.manual_seed(1 + Team.of_this_process().rank)  # all begin with the first one's weights
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    train(
        model,
        EXAMPLES,
        loss=squared,
        collate=batched,
        validate=validate,
        options=OPTIONS,
        folder=folder,
        progress=progress,
    )
    return _save(model, folder)


def refused(*, folder: Path, progress: Progress) -> Path:  # noqa: ARG001
    """Whose data is wrong."""
    with (folder / BEGUN).open("a") as file:
        file.write("once more\n")
    raise AdaptError("2 of 3 utterances cannot be learned")


def made_by(path: Path) -> Tensor:
    """The weights that a training ended with."""
    return load_file(path)["weights"]


def _save(model: nn.Module, folder: Path) -> Path:
    if Team.of_this_process().leads:
        save_file({"weights": weights(model)}, folder / MADE)
    return folder / MADE
