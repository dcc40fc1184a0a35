"""Reads a domain folder: domain.yaml and what it includes, checked as a whole and compiled to a `Domain`.

Everything that is wrong comes in one `DomainError`, a problem a line:
`pharmacy/domain.yaml:14: intent 'refill' lists the slot 'drg', which is not declared (did you mean 'drug'? known: …)`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from rejoinder.domain import Domain
from rejoinder.domain.compilation import compile_domain
from rejoinder.domain.corrections import with_corrections
from rejoinder.domain.schema import DomainEntry, Entry, known_keys
from rejoinder.domain.source import KeyPath, Source, did_you_mean
from rejoinder.errors import DomainError

FILE_NAME = "domain.yaml"

EntryT = TypeVar("EntryT", bound=Entry)

_MESSAGES = {
    "string_type": "must be a text",
    "string_too_short": "is empty",
    "too_short": "is empty",
    "list_type": "must be a list",
    "dict_type": "must be a mapping (key: value)",
    "model_type": "must be a mapping (key: value)",
    "int_parsing": "must be a whole number, not '{input}'",
    "int_from_float": "must be a whole number, not '{input}'",
    "float_parsing": "must be a number, not '{input}'",
    "bool_parsing": "must be true or false, not '{input}'",
    "greater_than": "must be more than {gt:g}, not {input}",
    "greater_than_equal": "must be {ge:g} or more, not {input}",
    "less_than_equal": "must be {le:g} or less, not {input}",
}
"""Pydantic's kinds of errors in the words of someone who writes YAML, not Python."""

_PATTERNS = {
    "url": "must be a URL that begins with http:// or https://, not '{input}'",
    "webhook": "must be a URL that begins with http:// or https://, not '{input}'",
    "call": "must name a function of the domain folder as module:function, not '{input}'",
    "compute": "must name a function of the domain folder as module:function, not '{input}'",
    "language": "must be a language tag like en or en-GB, not '{input}'",
}
"""What a key that has a form of its own must look like; every other one is a name."""


def read_domain(folder: Path) -> Domain:
    """Read and check a domain folder, or its domain.yaml; raises `DomainError` with every problem, a line each."""
    path = folder if folder.is_file() else folder / FILE_NAME
    if not path.is_file():
        raise DomainError(f"{path}: there is no such file; to begin a domain, type: rejoinder init {folder}")
    source = Source.load(path)
    entry = validated(source, DomainEntry)
    domain = compile_domain(entry, source, path.parent)
    if source.problems:
        source.stop()
    return with_corrections(domain)


def validated(source: Source, schema: type[EntryT]) -> EntryT:
    """The data as the schema has it. What the schema refuses is noted and left out, so that the rest is checked too."""
    while True:
        try:
            return schema.model_validate(source.data)
        except ValidationError as error:
            found = error.errors(include_url=False)
            paths = [tuple(part for part in one["loc"] if part != "[key]") for one in found]
            for path, one in zip(paths, found, strict=True):
                source.problem(path, _explain(path, one, schema))
            # From the last to the first, because dropping an item of a list moves those behind it.
            for path, one in zip(reversed(paths), reversed(found), strict=True):
                source.drop(path[:-1] if one["type"] == "missing" else path)


def _explain(path: KeyPath, found: Mapping[str, Any], schema: type[Entry]) -> str:
    """One of pydantic's errors in plain words."""
    kind, context = found["type"], found.get("ctx", {})
    key = next((part for part in reversed(path) if isinstance(part, str)), FILE_NAME)
    if kind == "extra_forbidden":
        return f"unknown key '{key}' {did_you_mean(key, known_keys(path[:-1], schema))}"
    if kind == "missing":
        return f"'{key}' is missing"
    if kind in ("enum", "literal_error"):
        choices = [choice.strip("'") for choice in context["expected"].replace(" or ", ", ").split(", ")]
        return f"'{key}' cannot be '{found['input']}' {did_you_mean(str(found['input']), choices)}"
    if kind == "string_pattern_mismatch" and (found["loc"][-1] == "[key]" or key not in _PATTERNS):
        return f"'{found['input']}' is not a name: letters, digits and _ only, and no digit first"
    what = _PATTERNS[key] if kind == "string_pattern_mismatch" else _MESSAGES.get(kind, found["msg"])
    return f"'{key}' {what.format(input=found['input'], **context)}"
