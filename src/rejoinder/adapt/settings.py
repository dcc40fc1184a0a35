"""Recipes set from the command line: `--recipe learning_rate=1e-4` finds its field, however deep it lies."""

import dataclasses
import types
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from rejoinder.errors import AdaptError, one_of

Recipe = TypeVar("Recipe")


def with_settings(recipe: Recipe, settings: Mapping[str, str]) -> Recipe:
    """The recipe, a dataclass, with fields of its own or of the dataclasses in it set by name from texts.

    Raises `AdaptError` for a name that no field has, and for a text that its type cannot be read from.
    """
    known = dict(settable(recipe))
    for name in settings:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = f"; did you mean '{near[0]}'?" if near else ""
            raise AdaptError(f"--recipe {name}: there is no such setting{meant} ({one_of(tuple(known), n_most=40)})")
    return _set(recipe, settings)


def settable(recipe: object) -> Iterator[tuple[str, object]]:
    """The names and values of all fields that a text can set."""
    hints = get_type_hints(type(recipe))
    for field in dataclasses.fields(recipe):  # type: ignore[arg-type]  # every recipe is a dataclass
        value = getattr(recipe, field.name)
        if dataclasses.is_dataclass(value):
            yield from settable(value)
        elif _kinds(hints[field.name]) & {bool, int, float, str}:
            yield field.name, value


def _set(recipe: Recipe, settings: Mapping[str, str]) -> Recipe:
    hints = get_type_hints(type(recipe))
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(recipe):  # type: ignore[arg-type]
        value = getattr(recipe, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = _set(value, settings)
        elif field.name in settings:
            changes[field.name] = _read(field.name, settings[field.name], _kinds(hints[field.name]))
    return dataclasses.replace(recipe, **changes)  # type: ignore[type-var]


def _kinds(hint: Any) -> set[Any]:
    """The types that a field may have."""
    return set(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else {hint}


def _read(name: str, text: str, kinds: set[Any]) -> object:
    if type(None) in kinds and text.lower() == "none":
        return None
    if bool in kinds:
        if text.lower() in ("true", "yes", "on", "false", "no", "off"):
            return text.lower() in ("true", "yes", "on")
        raise AdaptError(f"--recipe {name}: must be true or false, not '{text}'")
    for kind, what in ((float, "a number"), (int, "a whole number")):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                raise AdaptError(f"--recipe {name}: must be {what}, not '{text}'") from None
    return text
