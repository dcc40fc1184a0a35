"""Open kinds of slots: found in sentences, in canonical form."""

import string
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.domain import Slot, SlotKind
from rejoinder.nlu.values import Found, find_values
from rejoinder.text import normalize, number_to_words

TODAY = date(2026, 11, 23)


def longest(slot: Slot, said: str, *, expected: bool = True) -> Found | None:
    found = find_values(slot, normalize(said).split(), today=TODAY, expected=expected)
    return max(found, key=lambda value: value.end - value.start, default=None)


def value(kind: SlotKind, said: str, *, expected: bool = True) -> str | None:
    found = longest(Slot("it", kind), said, expected=expected)
    return found.value if found is not None else None


@given(st.integers(0, 999_999), st.integers(0, 99))
def test_an_amount_of_money_survives_being_spoken(whole: int, cents: int) -> None:
    assert value(SlotKind.MONEY, f"${whole:,}.{cents:02d}", expected=False) == f"{whole}.{cents:02d}"


@pytest.mark.parametrize(
    ("said", "amount"),
    [
        ("two fifty", "2.50"),
        ("two oh five", "2.05"),
        ("nineteen ninety nine", "19.99"),
        ("two dollars and fifty cents", "2.50"),
        ("two dollars fifty", "2.50"),
        ("a dollar fifty", "1.50"),
        ("fifty cents", "0.50"),
        ("two and a half dollars", "2.50"),
        ("five bucks", "5.00"),
        ("a hundred and twenty", "120.00"),
        ("two fifty dollars", "2.50"),
    ],
)
def test_money_as_people_say_it(said: str, amount: str) -> None:
    assert value(SlotKind.MONEY, said) == amount


def test_the_same_words_are_another_value_for_another_kind() -> None:
    assert value(SlotKind.MONEY, "two fifty") == "2.50"
    assert value(SlotKind.NUMBER, "two fifty") == "250"
    assert value(SlotKind.TIME, "two fifty") == "14:50"
    assert value(SlotKind.CODE, "two fifty") == "250"


@given(st.text(string.ascii_uppercase + string.digits, min_size=1, max_size=10))
def test_a_code_survives_being_spelled(code: str) -> None:
    spelled = " ".join(number_to_words(c, "digits") if c.isdigit() else c.lower() for c in code)
    beside_digit = any(
        code[at] == "O" and any(c.isdigit() for c in code[max(0, at - 1) : at + 2]) for at in range(len(code))
    )
    if beside_digit or "OO" in code:
        return  # "oh" beside a digit is a zero, and nobody can tell
    found = longest(Slot("it", SlotKind.CODE), spelled)
    assert found is not None
    assert found.value == code


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("G-M-E-F-3-9", "GMEF39"),
        ("m e f three nine", "MEF39"),
        ("MEF39", "MEF39"),
        ("g as in george m for mary double seven oh", "GM770"),
        ("alpha bravo one two", "AB12"),
        ("double u nine", "W9"),
        ("a b dash one two", "AB12"),
        ("see three pea oh", "C3PO"),
    ],
)
def test_codes_as_people_spell_them(said: str, code: str) -> None:
    found = longest(Slot("it", SlotKind.CODE), said)
    assert found is not None
    assert found.value == code


def test_words_are_no_code_unless_one_is_asked_for() -> None:
    assert value(SlotKind.CODE, "can i see a doctor", expected=False) is None
    assert value(SlotKind.CODE, "my number is a b one two", expected=False) == "AB12"


@pytest.mark.parametrize(
    ("said", "finished"), [("four one two", False), ("four one two two six eight", False), ("412-268-5000", True)]
)
def test_a_phone_number_shorter_than_its_lengths_is_unfinished(said: str, finished: bool) -> None:
    found = longest(Slot("phone", SlotKind.PHONE, lengths=(10,)), said)
    assert found is not None
    assert found.finished is finished


def test_a_code_longer_than_its_lengths_is_none() -> None:
    assert longest(Slot("it", SlotKind.CODE, lengths=(3,)), "one two three four") is None


def test_a_number_outside_its_bounds_is_none() -> None:
    slot = Slot("guests", SlotKind.NUMBER, min=1, max=12)
    assert longest(slot, "twelve") is not None
    assert longest(slot, "thirteen") is None


def test_one_is_not_always_a_number() -> None:
    assert value(SlotKind.NUMBER, "the large one please", expected=False) is None
    assert value(SlotKind.NUMBER, "I want one", expected=True) == "1"


def test_a_digit_alone_may_be_spelled_as_another_word() -> None:
    assert value(SlotKind.NUMBER, "to") == "2"
    assert value(SlotKind.NUMBER, "I want to go") is None


def test_a_closed_slot_has_no_values_here() -> None:
    assert longest(Slot("size", SlotKind.CLOSED), "two") is None


ANY_WORDS = st.lists(
    st.sampled_from(
        "a b see oh two fifty hundred dollars and cents half past at friday may third double plus of in the".split()
    ),
    max_size=9,
)


@given(ANY_WORDS, st.sampled_from(SlotKind), st.booleans())
def test_any_words_can_be_searched_without_an_error(words: list[str], kind: SlotKind, expected: bool) -> None:
    for found in find_values(Slot("it", kind), words, today=TODAY, expected=expected):
        assert 0 <= found.start < found.end <= len(words)
        assert found.value or not found.finished
