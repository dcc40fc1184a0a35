"""Work that takes no time, and no imports."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rejoinder.errors import AdaptError, ModelError


@dataclass(frozen=True)
class Halving:
    """Halves even numbers."""

    model: str = "there"
    side_by_side = False

    @contextmanager
    def opened(self) -> Iterator[Callable[[int], int]]:
        """See `Work`."""
        if self.model != "there":
            raise ModelError(f"there is no model '{self.model}'")
        yield _half


def _half(number: int) -> int:
    if number % 2:
        raise AdaptError(f"{number} is odd")
    return number // 2
