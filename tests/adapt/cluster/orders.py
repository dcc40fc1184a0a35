"""What the processes of domains do in tests."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rejoinder.adapt.cluster.domains import DomainOrder
from rejoinder.adapt.run import Outcome
from rejoinder.progress import Progress
from tests.adapt.shop import make_quick


@dataclass(frozen=True)
class QuickOrder:
    """A `DomainOrder` with the stand-ins of `make_quick`, in its process."""

    order: DomainOrder

    def __call__(self, progress: Progress, done: Callable[[Outcome], None]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            make_quick(patch)
            self.order(progress, done)


@dataclass(frozen=True)
class DyingOrder:
    """Kills its process, and notes that it was begun."""

    begun: Path

    def __call__(self, progress: Progress, done: Callable[[Outcome], None]) -> None:  # noqa: ARG002
        with self.begun.open("a") as file:
            file.write("once more\n")
        os.kill(os.getpid(), signal.SIGKILL)
