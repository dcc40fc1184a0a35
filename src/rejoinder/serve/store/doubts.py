"""Which turns the assistant was least sure of: what is most worth an owner's minute comes first. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod

from rapidfuzz import fuzz

from rejoinder.serve.store.turns import Kept, Turn

LEAST = 0.15
"""A turn less doubtful than this is not listed."""

SAME_WORDS = 80
"""Likeness of two turns, in percent, from which on the caller said the same again."""

_CORRECTS = re.compile(
    r"^\W*(?:no\b|nope\b|not\b|wrong\b|wait\b|actually\b)|\bi (?:said|meant|mean)\b|\bthat['’]?s (?:not|wrong)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A turn that may have gone wrong, and what says so."""

    kept: Kept
    score: float
    """How doubtful it is, in [0, 1]."""
    reasons: tuple[str, ...]


def doubtful(kept: Iterable[Kept]) -> list[Doubt]:
    """The turns that nobody has looked at yet and that may have gone wrong, the most doubtful first.

    Each sign counts on its own: the score is one minus the product of what each leaves of the belief that all went
    well. `kept` has the turns call by call, in their order.
    """
    calls = (list(call) for _, call in groupby(kept, key=lambda one: one.turn.call))
    found = [doubt for call in calls for doubt in _of_call(call)]
    return sorted(found, key=lambda doubt: (-doubt.score, -doubt.kept.id))


def _of_call(call: Sequence[Kept]) -> Iterator[Doubt]:
    for at, one in enumerate(call):
        following = call[at + 1].turn if at + 1 < len(call) else None
        signs = [*_signs(one.turn), *_afterwards(one.turn, following)]
        score = 1 - prod(1 - weight for weight, _ in signs)
        if one.correction is None and score >= LEAST:
            yield Doubt(one, score, tuple(reason for _, reason in sorted(signs, reverse=True) if reason))


def _signs(turn: Turn) -> Iterator[tuple[float, str]]:
    """What the turn itself says."""
    if turn.source == "none" and turn.text:
        yield 0.8, "not understood"
    elif turn.source != "none" and turn.confidence < 1:
        yield 1 - turn.confidence, f"{turn.confidence:.0%} sure" if turn.confidence < 0.9 else ""
    if turn.failed:
        yield 0.5, f"failed: {', '.join(turn.failed)}"
    if turn.action_ok is False:
        yield 0.3, "the action failed"
    if turn.text_confidence < 1:
        yield (
            (1 - turn.text_confidence) / 2,
            f"heard with {turn.text_confidence:.0%}" if turn.text_confidence < 0.7 else "",
        )
    if turn.interrupted:
        yield 0.3, "interrupted"
    if turn.cut_off:
        yield 0.2, "cut off at first"
    if turn.ended == "transfer":
        yield 0.4, "handed to a person"


def _afterwards(turn: Turn, following: Turn | None) -> Iterator[tuple[float, str]]:
    """What the caller's next words say about it."""
    if following is None:
        return
    if len(turn.text) > 3 and fuzz.ratio(turn.text.lower(), following.text.lower()) >= SAME_WORDS:
        yield 0.7, "said again"
    elif following.intent == "repeat" and following.source == "command":
        yield 0.2, "asked to repeat"
    elif following.intent == "person" and following.source == "command":
        yield 0.6, "asked for a person"
    elif _CORRECTS.search(following.text):
        yield 0.5, "corrected by the caller"
