"""Sentences that adapted models are measured on: of the domain, and everyday ones; none of them ever trained on."""

from collections.abc import Sequence
from importlib.resources import files
from itertools import islice

from rejoinder.domain import Domain
from rejoinder.domain.grammar import sample
from rejoinder.text import normalize

LEAST_SENTENCES = 20
"""Fewer say little about a model."""


def sentences_to_test(domain: Domain, *, n: int, seed: int, trained: Sequence[str]) -> tuple[str, ...]:
    """About `n` sentences of the domain's patterns to measure on, none of which is `trained`.

    Every pattern has the same share. Where fewer than `LEAST_SENTENCES` are left, because the patterns stand for few,
    trained ones make up for them: they are at least said by others than in training.
    """
    seen = {normalize(text) for text in trained}
    patterns = [pattern for intent in domain.intents.values() for pattern in intent.patterns]
    n_each = max(1, n // max(1, len(patterns)))
    found: dict[str, None] = {}
    for pattern in patterns:
        sampled = sample(pattern, domain.slots, n=4 * n_each, seed=seed)
        found.update(dict.fromkeys(islice((text for text in sampled if normalize(text) not in seen), n_each)))
    return (*found, *trained[: max(0, min(n, LEAST_SENTENCES) - len(found))])


def canary_sentences() -> tuple[str, ...]:
    """Everyday sentences that ship with Rejoinder, to measure whether general speech is still recognized."""
    text = (files("rejoinder") / "data" / "canary.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line)
