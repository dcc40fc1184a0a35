"""Values that are refused."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.nlu.negation import refused
from rejoinder.nlu.slots import SlotFinder, assign
from rejoinder.text import normalize
from tests.nlu.domains import SLOTS

FINDER = SlotFinder(SLOTS)
ORDER_SLOTS = frozenset({"size", "roast", "drink", "milk"})
ADDED = frozenset({"milk"})


def values(said: str) -> dict[str, str]:
    words = normalize(said).split()
    spans = refused(FINDER.find(words, today=date(2026, 11, 23)), words, text=said, added=ADDED)
    return {span.slot: span.value for span in assign(spans, words, allowed=ORDER_SLOTS)}


@pytest.mark.parametrize(
    "said",
    [
        "no milk",
        "without milk",
        "hold the soy milk",
        "no milk, please",
        "remove the milk",
        "take the milk out",
        "leave out the almond milk",
        "I don't want any milk",
        "no more milk",
        "with milk, I mean no milk",
    ],
)
def test_a_refused_value_is_empty(said: str) -> None:
    assert values(said) == {"milk": ""}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("not small, large", {"size": "large"}),
        ("large, not small", {"size": "large"}),
        ("not a latte but a mocha", {"drink": "mocha"}),
        ("no milk, soy milk", {"milk": "soy milk"}),
        ("no small roast, a dark roast with no milk", {"size": "small", "roast": "dark roast", "milk": ""}),
    ],
)
def test_the_value_that_is_meant_stays(said: str, found: dict[str, str]) -> None:
    assert values(said) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("no, a medium", {"size": "medium"}),
        ("no medium", {"size": "medium"}),
        ("No, milk.", {"milk": "milk"}),
        ("no, with milk", {"milk": "milk"}),
        ("don't forget the milk", {"milk": "milk"}),
    ],
)
def test_a_no_that_answers_refuses_no_value(said: str, found: dict[str, str]) -> None:
    assert values(said) == found


@given(
    st.lists(
        st.sampled_from("no not without hold the a and or milk soy large small latte take out".split()), max_size=9
    )
)
def test_spans_stay_inside_the_words(words: list[str]) -> None:
    spans = FINDER.find(words, today=date(2026, 11, 23))
    after = refused(spans, words, text=" ".join(words), added=ADDED)
    assert len(after) == len(spans)
    assert all(0 <= span.start < span.end <= len(words) for span in after)
