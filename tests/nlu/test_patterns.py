"""The automaton over all patterns."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.domain import Intent
from rejoinder.domain.grammar import sample_tagged
from rejoinder.nlu.patterns import Patterns, Reading
from rejoinder.nlu.slots import SlotFinder
from rejoinder.text import normalize
from tests.nlu.domains import ORDER, shop

DOMAIN = shop()
FINDER = SlotFinder(DOMAIN.slots)
PATTERNS = Patterns.compile(DOMAIN)


def read(said: str, patterns: Patterns = PATTERNS) -> Reading:
    words = normalize(said).split()
    return patterns.read(words, FINDER.find(words, today=date(2026, 11, 23)))


def slots(reading: Reading) -> dict[str, str]:
    return {span.slot: span.value for span in reading.matches[0].spans}


@given(st.integers(0, 10_000), st.sampled_from(ORDER.patterns))
def test_every_sentence_of_a_pattern_is_accepted_with_its_slots(seed: int, pattern: str) -> None:
    sentence = sample_tagged(pattern, DOMAIN.slots, n=1, seed=seed)[0]
    reading = read(sentence.text)
    assert reading.matches[0].intent == "order"
    assert slots(reading) == dict(sentence.slots)


@given(st.integers(0, 10_000))
def test_every_beginning_of_a_sentence_is_known_to_go_on(seed: int) -> None:
    words = normalize(sample_tagged("when do you (open|close)", {}, n=1, seed=seed)[0].text).split()
    for n_words in range(1, len(words)):
        reading = read(" ".join(words[:n_words]))
        assert "hours" in reading.begun
        assert not reading.matches


def test_fillers_may_stand_anywhere_and_cost_a_little() -> None:
    reading = read("okay well can I get please a large latte thanks")
    assert reading.matches[0].intent == "order"
    assert 0 < reading.matches[0].cost < 0.2


def test_fillers_alone_begin_nothing() -> None:
    assert read("okay well please") == Reading((), frozenset())


@pytest.mark.parametrize(
    "said", ["", "can I get a refund", "latte", "when do you open the parcel", "large latte please now"]
)
def test_what_is_in_no_pattern_is_not_accepted(said: str) -> None:
    assert read(said).matches == ()


def test_slots_are_told_apart_by_where_they_stand() -> None:
    assert slots(read("put $5 into savings from checking")) == {
        "amount": "5.00",
        "target": "savings",
        "source": "checking",
    }


def test_letters_in_brackets_belong_to_the_word() -> None:
    domain = replace(DOMAIN, intents={"rooms": Intent("rooms", patterns=("free room[s] (up|down)stairs",))})
    patterns = Patterns.compile(domain)
    assert read("free rooms up stairs", patterns).matches or read("free rooms upstairs", patterns).matches
    assert read("free room", patterns).begun


def test_any_order_is_any_order() -> None:
    pattern = "a ([{size}];[{roast}]) {drink}"
    patterns = Patterns.compile(replace(DOMAIN, intents={"any": Intent("any", patterns=(pattern,))}))
    one, other = read("a large dark roast latte", patterns), read("a dark roast large latte", patterns)
    assert slots(one) == slots(other) == {"size": "large", "roast": "dark roast", "drink": "latte"}


def test_words_before_a_slot_are_its_cues() -> None:
    assert "from" in PATTERNS.cues["source"]
    assert "from" not in PATTERNS.cues["target"]
