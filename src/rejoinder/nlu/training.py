"""Sentences to fit the intents on: sampled from the patterns, roughened as a recognizer would, and some for none."""

import random
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from rejoinder.domain import Domain, Intent
from rejoinder.domain.grammar import sample
from rejoinder.nlu.classifier import OUT_OF_SCOPE
from rejoinder.text import normalize

N_SENTENCES = 280
"""Sentences over all intents, about a second of embedding on one thread; more did not change the held-out scores."""

N_LEAST, N_MOST = 12, 60
"""Bounds for one intent, whatever the number of intents."""

P_ROUGH = 0.35
"""Share of sampled sentences that are roughened."""

_NEAR_HOMOPHONES = {
    "can i": "and i",
    "could i": "could a",
    "give me": "gimme",
    "i would like": "i like",
    "may i": "may a",
    "get me": "get the",
    "to": "two",
    "for": "four",
    "what is": "what's",
    "is the": "is a",
    "a": "the",
    "an": "and",
}
"""What a recognizer makes of words that are spoken quickly."""


@cache
def background() -> tuple[str, ...]:
    """Sentences that belong to hardly any business; `Understander.fit` drops those close to what the domain does."""
    text = (files("rejoinder") / "data" / "out_of_scope.txt").read_text(encoding="utf-8")
    return tuple(normalize(line) for line in text.splitlines() if line.strip())


def training_sentences(domain: Domain, *, seed: int = 0) -> list[tuple[str, str]]:
    """(normalised sentence, intent) for every intent, and the domain's own out-of-scope examples; each pair once."""
    n_each = min(max(N_SENTENCES // max(len(domain.intents), 1), N_LEAST), N_MOST)
    pairs: dict[tuple[str, str], None] = {}
    for intent in domain.intents.values():
        for sentence in _sentences(domain, intent, n_each, seed):
            pairs[sentence, intent.name] = None
    for sentence in domain.out_of_scope_examples:
        pairs[normalize(sentence), OUT_OF_SCOPE] = None
    return [pair for pair in pairs if pair[0]]


def _sentences(domain: Domain, intent: Intent, n_sentences: int, seed: int) -> Iterator[str]:
    rng = random.Random(f"{seed} {intent.name}")
    yield from (normalize(example) for example in intent.examples)
    if not intent.patterns:
        return
    n_each = max(2, n_sentences // len(intent.patterns))
    for pattern in intent.patterns:
        for text in sample(pattern, domain.slots, n=n_each, seed=seed):
            sentence = normalize(text)
            yield roughened(sentence, rng) if rng.random() < P_ROUGH else sentence


def roughened(sentence: str, rng: random.Random) -> str:
    """The normalised sentence with one slip of a recognizer or a caller: a near-homophone, a lost or repeated word."""
    words = sentence.split()
    heard = [pair for pair in _NEAR_HOMOPHONES.items() if f" {pair[0]} " in f" {sentence} "]
    slip = rng.choice(("homophone", "homophone", "lost", "filler"))
    if slip == "homophone" and heard:
        written, misheard = rng.choice(heard)
        return f" {sentence} ".replace(f" {written} ", f" {misheard} ", 1).strip()
    if slip == "lost" and len(words) > 3:
        return " ".join(words[1:])  # the beginning is what a late microphone cuts off
    return f"{rng.choice(('hi', 'yeah', 'okay so', 'hello'))} {sentence}"
