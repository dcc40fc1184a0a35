"""Guesses at the next tokens."""

from hypothesis import given
from hypothesis import strategies as st

from rejoinder.asr.continuations import N_GUESSED, Continuations

TEXTS = st.lists(st.lists(st.integers(3, 12), max_size=12), max_size=12)


def test_what_followed_two_tokens_most_often_goes_before_what_followed_one() -> None:
    continuations = Continuations([(3, 4, 5), (3, 4, 5), (3, 4, 6), (8, 4, 6), (9, 4, 6)])
    assert continuations.after(()) == [3, 4, 5]
    assert continuations.after((3, 4)) == [5]
    assert continuations.after((7, 7, 4)) == [6]
    assert continuations.after((8,)) == [4, 6]
    assert continuations.after((99,)) == []
    assert Continuations([]).after(()) == []


@given(TEXTS, st.lists(st.integers(3, 12), max_size=6))
def test_every_guess_followed_its_token_somewhere(texts: list[list[int]], begun: list[int]) -> None:
    guessed = Continuations(texts).after(begun)
    assert len(guessed) <= N_GUESSED
    pairs = {(one, other) for text in texts for one, other in zip([-1, *text], text, strict=False)}
    assert all(pair in pairs for pair in zip([*(begun or [-1])[-1:], *guessed], guessed, strict=False))
