"""What owners said about turns of real calls (`rejoinder review`), to be learned from like the domain's own examples.

It stands in `<domain>/corrections.jsonl`, a JSON object a line, which the owner may edit as well:

    {"text": "do you shut on sundays", "intent": "hours", "turn": "call_5f0c…/3"}
    {"text": "my parking ticket", "intent": null, "turn": "call_81aa…/1"}

`"intent": null` says that no intent of the domain covers it. `turn` is the call that it is from, so that it can be
forgotten with the call.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from rejoinder.domain import Domain
from rejoinder.domain.source import did_you_mean
from rejoinder.errors import DomainError
from rejoinder.text import normalize

FILE_NAME = "corrections.jsonl"


@dataclass(frozen=True, slots=True)
class Corrected:
    """What was said in a turn, and the intent that it should have been taken for; None: no intent of the domain."""

    text: str
    intent: str | None
    turn: str = ""
    """The call and the number of its turn: "call_5f0c…/3"."""
    line: int = field(default=0, compare=False)
    """Where it stands in the file, the first being 1."""


def read_corrections(folder: Path) -> tuple[Corrected, ...]:
    """The corrections of a domain folder; raises `DomainError` that names each wrong line."""
    path = folder / FILE_NAME
    if not path.is_file():
        return ()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DomainError(f"{path}:1: cannot be read ({error})") from error
    found: list[Corrected] = []
    problems: list[str] = []
    for n, line in enumerate(lines, start=1):
        if line.strip():
            try:
                found.append(_corrected(line, n))
            except DomainError as error:
                problems.append(f"{path}:{n}: {error}")
    if problems:
        raise DomainError("\n".join(problems))
    return tuple(found)


def write_corrections(folder: Path, corrections: Iterable[Corrected]) -> None:
    """Write all of them, whole or not at all."""
    path = folder / FILE_NAME
    entries = ({"text": one.text, "intent": one.intent, "turn": one.turn} for one in corrections)
    text = "".join(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in entries)
    scratch = path.with_name(f".{FILE_NAME}")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    except OSError:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise


def with_corrections(domain: Domain) -> Domain:
    """The domain with the corrected sentences as examples; what it says of the same sentences itself gives way.

    Raises `DomainError` for a wrong line, and for one of an intent that the domain does not have.
    """
    corrections = read_corrections(domain.folder)
    if not corrections:
        return domain
    unknown = [
        f"{domain.folder / FILE_NAME}:{one.line}: there is no intent '{one.intent}' "
        f"{did_you_mean(one.intent, list(domain.intents))}"
        for one in corrections
        if one.intent is not None and one.intent not in domain.intents
    ]
    if unknown:
        raise DomainError("\n".join(unknown))
    by_text = {normalize(one.text): one for one in corrections}
    intents = {
        name: replace(intent, examples=_examples(intent.examples, name, by_text))
        for name, intent in domain.intents.items()
    }
    return replace(
        domain, intents=intents, out_of_scope_examples=_examples(domain.out_of_scope_examples, None, by_text)
    )


def _examples(own: Iterable[str], intent: str | None, by_text: Mapping[str, Corrected]) -> tuple[str, ...]:
    kept = (text for text in own if normalize(text) not in by_text)
    return (*kept, *(one.text for one in by_text.values() if one.intent == intent))


def _corrected(line: str, n: int) -> Corrected:
    """One line; raises `DomainError` saying what is wrong with it."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise DomainError("is not JSON") from None
    text = entry.get("text") if isinstance(entry, dict) else None
    if not isinstance(text, str) or not normalize(text):
        raise DomainError('must be a JSON object with "text", what was said')
    intent = entry.get("intent")
    if "intent" not in entry or not (intent is None or isinstance(intent, str)):
        raise DomainError('needs "intent": a name, or null where no intent covers it')
    return Corrected(text, intent, str(entry.get("turn", "")), n)
