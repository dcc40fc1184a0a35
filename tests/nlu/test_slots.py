"""Values of closed slots in what a recognizer wrote."""

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.nlu.slots import SlotFinder, assign
from rejoinder.text import normalize
from tests.nlu.domains import SLOTS

TODAY = date(2026, 11, 23)
FINDER = SlotFinder(SLOTS)
ORDER_SLOTS = frozenset({"size", "roast", "drink", "milk"})


def values(said: str, *, allowed: frozenset[str] = ORDER_SLOTS, expected: str | None = None) -> dict[str, str]:
    words = normalize(said).split()
    return {
        span.slot: span.value
        for span in assign(FINDER.find(words, today=TODAY), words, allowed=allowed, expected=expected)
    }


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("a 20-ounce latte", {"size": "twenty ounce", "drink": "latte"}),
        ("a 20 oz latte", {"size": "twenty ounce", "drink": "latte"}),
        ("a twenty ounces latte", {"size": "twenty ounce", "drink": "latte"}),
        ("two lattes with soymilk", {"drink": "latte", "milk": "soy milk"}),
        ("a flatwhite", {"drink": "flat white"}),
        ("a latte with soya", {"drink": "latte", "milk": "soy milk"}),
    ],
)
def test_spelling_does_not_matter(said: str, found: dict[str, str]) -> None:
    assert values(said) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("an iced mocha", {"drink": "iced mocha"}),
        ("a house coffee", {"drink": "house coffee"}),
        ("a medium roast coffee", {"roast": "medium roast", "drink": "coffee"}),
        ("a medium medium roast coffee", {"size": "medium", "roast": "medium roast", "drink": "coffee"}),
        ("a mocha with a little bit of soy milk", {"drink": "mocha", "milk": "a little bit of soy milk"}),
    ],
)
def test_the_longest_value_wins(said: str, found: dict[str, str]) -> None:
    assert values(said) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("a large expresso", {"size": "large", "drink": "espresso"}),
        ("a lattee please", {"drink": "latte"}),
        ("a mocha with almund milk", {"drink": "mocha", "milk": "almond milk"}),
        ("an ice mocha", {"drink": "iced mocha"}),
    ],
)
def test_a_near_miss_is_the_value(said: str, found: dict[str, str]) -> None:
    assert values(said) == found


@pytest.mark.parametrize(
    "said",
    ["a pizza", "an oat cake", "the weather", "a letter to my mother", "a cigar", "some beer", "my laptop is slow"],
)
def test_another_word_is_no_value(said: str) -> None:
    assert values(said) == {}


def test_oat_milk_is_not_soy_milk() -> None:
    assert values("a latte with oat milk") == {"drink": "latte", "milk": "milk"}


def test_known_words_are_not_taken_for_misspelt_values() -> None:
    words = ["the", "mocca"]
    assert FINDER.find(words, today=TODAY)
    assert not FINDER.find(words, today=TODAY, known=frozenset(["mocca"]))


def test_a_correction_replaces_what_was_said_before() -> None:
    assert values("a twenty ounce no a large latte") == {"size": "large", "drink": "latte"}


def test_the_word_before_tells_two_slots_with_the_same_values_apart() -> None:
    words = "to checking from savings".split()
    cues = {"source": frozenset(["from"]), "target": frozenset(["to"])}
    spans = assign(FINDER.find(words, today=TODAY), words, allowed=frozenset(["source", "target"]), cues=cues)
    assert {span.slot: span.value for span in spans} == {"source": "savings", "target": "checking"}


def test_the_slot_that_was_asked_for_gets_the_words_that_two_could_take() -> None:
    both = frozenset(["source", "target"])
    assert values("savings", allowed=both, expected="target") == {"target": "savings"}
    assert values("savings", allowed=both, expected="source") == {"source": "savings"}


@pytest.mark.parametrize(
    ("said", "within"),
    [
        ("with a little", True),
        ("with a little bit of", True),
        ("an iced", True),
        ("a coffee", False),
        ("a house", True),
    ],
)
def test_it_is_known_when_the_last_words_begin_a_value(said: str, within: bool) -> None:
    assert FINDER.ends_within_value(said.split()) is within


@given(
    st.lists(
        st.sampled_from("a large medium roast iced ice mocha soy soymilk oat with no twenty xylo".split()), max_size=9
    )
)
def test_assigned_spans_never_overlap_and_fill_a_slot_once(words: list[str]) -> None:
    spans = assign(FINDER.find(words, today=TODAY), words, allowed=ORDER_SLOTS)
    assert all(one.end <= other.start for one, other in pairwise(spans))
    assert len({span.slot for span in spans}) == len(spans)


@given(st.sampled_from([(slot.name, choice.value) for slot in SLOTS.values() for choice in slot.choices]))
def test_every_value_is_found_in_its_own_spelling(slot_and_value: tuple[str, str]) -> None:
    slot, value = slot_and_value
    assert values(f"I want {value} please", allowed=frozenset([slot])) == {slot: value}


@pytest.mark.parametrize(
    ("slot", "said", "value"),
    [
        ("milk", "old mand milk", "almond milk"),
        ("drink", "express oh", "espresso"),
        ("drink", "flood white", "flat white"),
        ("member", "a seven k", "A7K"),
        ("milk", "umbrella", None),
        ("source", "something", None),
    ],
)
def test_words_that_are_known_to_be_a_value_are_read_by_sound(slot: str, said: str, value: str | None) -> None:
    words = ["please", *said.split(), "today"]
    spans = list(FINDER.read(slot, words, 1, len(words) - 1, today=TODAY))
    assert [(span.value, span.start, span.end) for span in spans[:1]] == ([(value, 1, len(words) - 1)] if value else [])
