"""Tries of settings that take a moment."""

from collections.abc import Mapping
from pathlib import Path

from rejoinder.adapt.settings import with_settings
from rejoinder.errors import AdaptError
from tests.adapt.test_trainer import OPTIONS, make_model, run


def learn(settings: Mapping[str, str], folder: Path) -> float:
    """The last loss of a small training."""
    return run(make_model(), folder, with_settings(OPTIONS, settings)).losses[-1]


def refuse(settings: Mapping[str, str], folder: Path) -> float:  # noqa: ARG001
    """What never comes to an end."""
    raise AdaptError("the training diverged at step 7")
