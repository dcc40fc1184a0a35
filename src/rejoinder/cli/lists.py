"""Options that hold several values with commas between."""

from collections.abc import Callable
from typing import Any, TypeAlias

import click

Parse: TypeAlias = Callable[[click.Context, click.Parameter, str | None], tuple[Any, ...]]


def list_of(one: Callable[[str], object] = str, *, such_as: str) -> Parse:
    """A callback for an option that holds several values with commas between; none where it is not given."""

    def parse(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[Any, ...]:
        if value is None:
            return ()
        try:
            found = tuple(dict.fromkeys(one(item.strip()) for item in value.split(",") if item.strip()))
        except ValueError as error:
            raise click.BadParameter(f"{error}; write it like {such_as}", ctx, param) from None
        if not found:
            raise click.BadParameter(f"is empty; write it like {such_as}", ctx, param)
        return found

    return parse


def number_of_callers(text: str) -> int:
    """Read one; raises `ValueError`."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"'{text}' is no number of callers")
    return int(text)
