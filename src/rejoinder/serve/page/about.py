"""What the page shows of a domain before anybody has spoken: its name, and a few things to say."""

import re

from rejoinder.domain import Domain, SlotKind
from rejoinder.domain.grammar import sample, slot_names
from rejoinder.serve.page.messages import Message

N_EXAMPLES = 5

USUAL_WORDS = 5
"""Of an example: what is shorter is an answer rather than a beginning, what is longer uses every optional part."""

_N_DRAWN = 40
"""Sentences of one pattern among which the most natural is taken."""

_WRONG_ARTICLE = re.compile(r"\b(a [aeiou]|an [^aeiou])", re.IGNORECASE)
"""Patterns allow both, for callers' words are heard either way."""

_ARTICLE = re.compile(r"\b(a|an|the|my|your|you)\b", re.IGNORECASE)


def about(domain: Domain) -> Message:
    """The name, the description and the language of the domain, and what can be said to it."""
    return {
        "name": domain.name,
        "description": domain.description,
        "language": domain.language,
        "examples": examples(domain),
    }


def examples(domain: Domain, *, n: int = N_EXAMPLES) -> list[str]:
    """A sentence of each of the first `n` intents that can be said out of the blue, the same each time."""
    found: list[str] = []
    for intent in domain.intents.values():
        usable = [pattern for pattern in intent.patterns if _has_values(pattern, domain)]
        drawn = [text for pattern in usable[:1] for text in sample(pattern, domain.slots, n=_N_DRAWN)]
        if drawn or intent.examples:
            text = min(drawn or intent.examples, key=_unnatural)
            found.append(text[:1].upper() + text[1:])
        if len(found) == n:
            break
    return found


def _has_values(pattern: str, domain: Domain) -> bool:
    """Whether there is something to say for each of its slots."""
    slots = [domain.slots[name] for name in slot_names(pattern)]
    return all(slot.choices or slot.kind is not SlotKind.CLOSED for slot in slots)


def _unnatural(text: str) -> tuple[bool, bool, int]:
    """Sorts the sentences of a pattern: those that leave out what is optional in grammar sound clipped."""
    return bool(_WRONG_ARTICLE.search(text)), not _ARTICLE.search(text), abs(len(text.split()) - USUAL_WORDS)
