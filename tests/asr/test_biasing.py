"""The graph of tokens that biasing follows."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.asr.biasing import ROOT, TokenGraph, bias_phrases
from rejoinder.domain import Choice, Domain, Slot, SlotKind, Term

TOKENS = st.lists(st.integers(0, 3), min_size=1, max_size=4)


def _boosts(graph: TokenGraph, state: int) -> dict[int, float]:
    tokens, boosts = graph.boosts(state)
    return dict(zip(tokens.tolist(), boosts.tolist(), strict=True))


def test_a_prefix_gains_and_what_breaks_it_off_gives_back() -> None:
    graph = TokenGraph([([1, 2, 3], 1.0)])
    assert _boosts(graph, ROOT) == {1: 0.0}, "the first token says too little"
    state = graph.advance(ROOT, 1)
    assert _boosts(graph, state) == {2: 1.0, 1: 0.0}
    state = graph.advance(state, 2)
    assert _boosts(graph, state) == {3: 2.0, 1: 0.0}
    assert graph.pending(state) == 1.0
    state = graph.advance(state, 3)
    assert graph.pending(state) == 0.0, "a phrase that is whole keeps what it gained"
    assert graph.advance(state, 9) == ROOT


def test_a_broken_match_goes_on_from_its_longest_suffix() -> None:
    graph = TokenGraph([([1, 2, 1, 3], 1.0), ([2, 1, 4], 1.0)])
    state = ROOT
    for token in (1, 2, 1):
        state = graph.advance(state, token)
    assert set(_boosts(graph, state)) == {3, 4, 2, 1}


def test_phrases_weigh_by_their_own_boost() -> None:
    graph = TokenGraph([([1, 4], 1.0), ([1, 5], 2.0), ([1, 5, 6], 0.5)])
    assert _boosts(graph, graph.advance(ROOT, 1)) == {4: 1.0, 5: 2.0, 1: 0.0}


@given(st.lists(TOKENS, max_size=6), st.lists(st.integers(0, 4), max_size=12))
def test_the_state_is_the_longest_suffix_that_begins_a_phrase(phrases: list[list[int]], said: list[int]) -> None:
    graph = TokenGraph([(phrase, 1.0) for phrase in phrases])
    state = ROOT
    for token in said:
        state = graph.advance(state, token)
    prefixes = {tuple(phrase[:n]) for phrase in phrases for n in range(len(phrase) + 1)} | {()}
    suffix = next(tuple(said[i:]) for i in range(len(said) + 1) if tuple(said[i:]) in prefixes)
    expected = ROOT
    for token in suffix:
        expected = graph.advance(expected, token)
    assert state == expected
    following = {
        p[len(s)]
        for s in (suffix[i:] for i in range(len(suffix) + 1))
        for p in phrases
        if p[: len(s)] == list(s) and len(p) > len(s)
    }
    assert set(_boosts(graph, state)) == following


def test_a_domains_phrases_are_its_terms_and_closed_values_but_not_what_is_misheard() -> None:
    domain = Domain(
        "test",
        Path(),
        terms=(Term("Xarelto", sounds_like=("czar alto",), synonyms=("rivaroxaban",)),),
        slots={
            "milk": Slot(
                "milk", SlotKind.CLOSED, (Choice("almond milk", ("almond milk", "own a milk"), ("own a milk",)),)
            ),
            "count": Slot("count", SlotKind.NUMBER),
        },
    )
    assert [phrase.text for phrase in bias_phrases(domain)] == ["Xarelto", "rivaroxaban", "almond milk"]


@pytest.mark.parametrize("phrases", [[], [([], 1.0)]])
def test_nothing_to_bias_is_no_error(phrases: list[tuple[list[int], float]]) -> None:
    graph = TokenGraph(phrases)
    assert len(graph) == 1
    assert graph.advance(ROOT, 7) == ROOT
    assert _boosts(graph, ROOT) == {}
