"""Everyday sentences that voices say: some to be measured by, others to learn from, and none for both."""

from rejoinder.adapt.carriers import general_sentences
from rejoinder.text import normalize

N_MEASURED = 100


def measured_sentences() -> tuple[str, ...]:
    """Those that are spoken and recognized to measure how well a voice is understood."""
    return general_sentences(N_MEASURED, seed=2)


def practice_sentences(n: int) -> tuple[str, ...]:
    """`n` others, for a donor to say."""
    measured = set(map(normalize, measured_sentences()))
    return tuple(text for text in general_sentences(n + N_MEASURED, seed=1) if normalize(text) not in measured)[:n]
