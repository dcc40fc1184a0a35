"""What usually comes next in a domain's sentences: guesses that the decoder checks in the time of one token.

Speculative decoding (Leviathan et al. 2023, "Fast inference from transformers via speculative decoding") with a table
of token trigrams in place of a smaller model. A guess that is wrong costs nothing, and one that is right changes
nothing: only what the decoder would have written itself is kept.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

N_GUESSED = 5
"""Guesses at once: moonshine's decoder reads six tokens in the time of one (4.8 ms on one core; eight in 6.7)."""

_START = -1


class Continuations:
    """For each two tokens, and for each one, the token that follows them most often."""

    __slots__ = ("_next",)

    def __init__(self, sentences: Iterable[Sequence[int]]) -> None:
        """`sentences` are token sequences without begin and end marks."""
        counts: dict[tuple[int, ...], Counter[int]] = {}
        for sentence in sentences:
            tokens = (_START, _START, *sentence)
            for at in range(2, len(tokens)):
                for context in (tokens[at - 2 : at], tokens[at - 1 : at]):
                    counts.setdefault(context, Counter())[tokens[at]] += 1
        self._next = {context: following.most_common(1)[0][0] for context, following in counts.items()}

    def after(self, tokens: Sequence[int]) -> list[int]:
        """What may follow a text that begins with `tokens`, at most `N_GUESSED` of them."""
        one, other = (_START, _START, *tokens[-2:])[-2:]
        guessed: list[int] = []
        while len(guessed) < N_GUESSED:
            following = self._next.get((one, other), self._next.get((other,)))
            if following is None:
                break
            guessed.append(following)
            one, other = other, following
        return guessed
