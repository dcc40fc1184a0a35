"""Patterns: parsed, listed, sampled; hassil's own matcher is the judge of what was sampled."""

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.domain import Choice, Domain, Slot, SlotKind
from rejoinder.domain.grammar import parse, sample, sample_tagged, sentences, slot_names
from rejoinder.domain.spoken_values import REFERENCE_DAY
from rejoinder.errors import DomainError
from rejoinder.nlu.values import find_values
from rejoinder.text import normalize

EXAMPLES = Path(__file__).parents[2] / "examples"

SIZE = Slot(
    "size",
    SlotKind.CLOSED,
    (Choice("small", ("small", "little")), Choice("large", ("large", "big", "larch"), sounds_like=("larch",))),
)
DRINK = Slot("drink", SlotKind.CLOSED, tuple(Choice(name, (name,)) for name in ("tea", "house coffee", "latte")))
SLOTS = {"size": SIZE, "drink": DRINK}

WORDS = st.sampled_from(["please", "now", "a", "cup", "of", "black", "it's"])
SLOT_PARTS = st.sampled_from(["{size}", "{drink}"])
PATTERNS = st.recursive(
    WORDS | SLOT_PARTS,
    lambda inner: (
        st.lists(inner, min_size=2, max_size=4).map(" ".join)
        | st.lists(inner, min_size=1, max_size=3).map(lambda items: f"({'|'.join(items)})")
        | inner.map(lambda item: f"[{item}]")
        | st.lists(inner, min_size=2, max_size=3).map(lambda items: f"({';'.join(items)})")
    ),
    max_leaves=8,
)


def accepts(pattern: str, text: str) -> bool:
    """Whether hassil's recognizer takes `text` for a sentence of `pattern`."""
    from hassil import Intents, TextSlotList, recognize

    lists: dict[str, Any] = {
        name: TextSlotList.from_strings([form for choice in slot.choices for form in choice.forms], name=name)
        for name, slot in SLOTS.items()
    }
    intents = Intents.from_dict({"language": "en", "intents": {"it": {"data": [{"sentences": [pattern]}]}}})
    return recognize(text, intents, slot_lists=lists) is not None


@settings(max_examples=120, deadline=None)
@given(pattern=PATTERNS, seed=st.integers(0, 99))
def test_every_sample_is_a_sentence_of_its_pattern(pattern: str, seed: int) -> None:
    for text in sample(pattern, SLOTS, n=5, seed=seed):
        if text:
            assert accepts(f"{pattern}", text), (pattern, text)


@settings(max_examples=80, deadline=None)
@given(pattern=PATTERNS)
def test_samples_are_among_the_listed_sentences(pattern: str) -> None:
    listed = list(sentences(pattern, SLOTS, limit=2000))
    if len(listed) < 2000:
        assert set(sample(pattern, SLOTS, n=20)) <= set(listed)


@settings(max_examples=80, deadline=None)
@given(pattern=PATTERNS)
def test_tags_say_where_the_values_are(pattern: str) -> None:
    for sentence in sample_tagged(pattern, SLOTS, n=10):
        for tag in sentence.tags:
            choice = next(choice for choice in SLOTS[tag.slot].choices if choice.value == tag.value)
            assert sentence.text[tag.start : tag.end] in choice.forms


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from([kind for kind in SlotKind if kind is not SlotKind.CLOSED]), seed=st.integers(0, 10_000))
def test_understanding_finds_the_open_values_that_samples_speak(kind: SlotKind, seed: int) -> None:
    slot = Slot("value", kind)
    (sentence,) = sample_tagged("{value}", {"value": slot}, n=1, seed=seed)
    words = normalize(sentence.text).split()
    found = [value.value for value in find_values(slot, words, today=REFERENCE_DAY, expected=True)]
    assert sentence.slots["value"] in found, sentence


@given(low=st.integers(-50, 50), span=st.integers(0, 40), seed=st.integers(0, 99))
def test_numbers_keep_their_bounds(low: int, span: int, seed: int) -> None:
    slot = Slot("value", SlotKind.NUMBER, min=low - 0.5, max=low + span + 0.5)
    for sentence in sample_tagged("{value}", {"value": slot}, n=5, seed=seed):
        assert low <= int(sentence.slots["value"]) <= low + span


def test_codes_have_one_of_their_lengths() -> None:
    slot = Slot("value", SlotKind.CODE, lengths=(4, 7))
    lengths = {len(sentence.slots["value"]) for sentence in sample_tagged("{value}", {"value": slot}, n=30)}
    assert lengths == {4, 7}


def test_sentences_lists_optionals_alternatives_and_orders() -> None:
    assert list(sentences("[please] (bring|get) tea[s]")) == [
        "please bring teas",
        "please bring tea",
        "please get teas",
        "please get tea",
        "bring teas",
        "bring tea",
        "get teas",
        "get tea",
    ]
    assert set(sentences("(a;b;c)")) == {" ".join(order) for order in permutations("abc")}


def test_sentences_is_lazy() -> None:
    endless = " ".join(["(a|b|c|d|e|f|g|h)"] * 40)
    assert len(list(sentences(endless, limit=5))) == 5
    assert len(sample(endless, n=5)) == 5


def test_what_is_misheard_is_never_said() -> None:
    assert set(sentences("{size}", SLOTS)) == set(sample("{size}", SLOTS, n=50)) == {"small", "little", "large", "big"}


def test_samples_repeat_with_the_seed_only() -> None:
    pattern = "(a|b|c) {size} {drink} [now]"
    assert sample(pattern, SLOTS, n=8, seed=3) == sample(pattern, SLOTS, n=8, seed=3)
    assert sample(pattern, SLOTS, n=8, seed=3) != sample(pattern, SLOTS, n=8, seed=4)


def test_a_small_pattern_gives_all_it_has() -> None:
    assert sorted(sample("(a|b)", n=100)) == ["a", "b"]


def test_every_value_has_its_turn() -> None:
    cafe = Domain.load(EXAMPLES / "cafe")
    everything = {(slot.name, choice.value) for slot in cafe.slots.values() for choice in slot.choices}
    pattern = cafe.intents["orderDrink"].patterns[0]
    used = {
        item
        for sentence in sample_tagged(pattern, cafe.slots, n=2 * len(everything))
        for item in sentence.slots.items()
    }
    assert used == everything


def test_slot_names_in_order() -> None:
    assert slot_names("a {size} [{drink}|({size};b)]") == ["size", "drink"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a (b", r"the pattern 'a \(b' has a '\(' that is never closed"),
        ("a b]", r"the pattern 'a b\]' has a '\]' that closes nothing"),
        ("(a]", r"the pattern '\(a\]' has a '\]' that closes nothing"),
        ("a {}", r"the pattern 'a \{\}' has empty brackets '\{\}'"),
        ("   ", "a pattern is empty"),
    ],
)
def test_broken_patterns(pattern: str, message: str) -> None:
    with pytest.raises(DomainError, match=message):
        parse(pattern)


def test_escaped_brackets_are_text() -> None:
    assert list(sentences(r"a \(b\) c")) == ["a (b) c"]


def test_unknown_slot_and_phrase() -> None:
    with pytest.raises(DomainError, match=r"the pattern uses \{cup\}, which is not a slot"):
        sample("{cup}", SLOTS, n=1)
    with pytest.raises(DomainError, match=r"the pattern uses <want>, which only domain\.yaml can put in"):
        sample("<want>", SLOTS, n=1)
