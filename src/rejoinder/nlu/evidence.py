"""Whether values found in a turn are meant for the intent in progress, or only sound like it.

"Sing me a song" holds something like "single shot". Between the question for a drink and its confirmation nearly every
sentence holds something like a value, so what counts is how sure the values are, and what else was said that they do
not explain.
"""

from collections.abc import Sequence

from rejoinder.nlu.slots import CORRECTIONS, Span

SURE = 0.1
"""Largest cost of a value that is evidence of its own; beyond it lie misspellings and what merely sounds alike."""

ADDING = CORRECTIONS | frozenset("with and add also plus".split())
"""Words that say that something is added or changed."""

_ASKS = frozenset("what who whose where when which why how is are am was were do does did".split())

_NO_QUESTION = frozenset(["about", "not"])


def asks(words: Sequence[str]) -> bool:
    """Whether the words begin like a question for information; "how about tuesday" proposes, "do not" demands."""
    return bool(words) and words[0] in _ASKS and _NO_QUESTION.isdisjoint(words[1:2])


def answers(spans: Sequence[Span], words: Sequence[str], n_strange: int) -> bool:
    """Whether the values answer what was asked for; `n_strange` words are explained by nothing."""
    n_sure = _n_sure(spans)
    allowed = 0 if asks(words) or not n_sure else max(1, n_sure // 2)
    return n_strange <= allowed


def adds(spans: Sequence[Span], words: Sequence[str], n_strange: int) -> bool:
    """Whether the values add to or correct what nobody had asked about."""
    n_sure = _n_sure(spans)
    if not n_sure or asks(words):  # "do you have soy milk" is not "do it with soy milk"
        return not n_strange and not ADDING.isdisjoint(words)
    return n_strange <= n_sure // 2


def _n_sure(spans: Sequence[Span]) -> int:
    """Words inside values that are sure."""
    return sum(span.end - span.start for span in spans if span.finished and span.cost <= SURE)
