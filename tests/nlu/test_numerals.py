"""Spoken numbers to digits: the inverse of `text.number_to_words`, and what people say instead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.nlu.numerals import cardinal, digit_run, number, two_digits
from rejoinder.text import normalize, number_to_words


@given(st.integers(0, 10**18 - 1))
def test_a_number_survives_being_spoken(value: int) -> None:
    words = number_to_words(value).split()
    parsed = cardinal(words, 0)
    assert parsed is not None
    assert (parsed.value, parsed.end) == (str(value), len(words))
    assert number(words, 0) == parsed


@given(st.integers(-(10**9), 10**9), st.from_regex("[0-9]{0,5}[1-9]", fullmatch=True))
def test_a_decimal_number_survives_being_spoken(whole: int, decimals: str) -> None:
    written = f"{whole}.{decimals}"
    words = number_to_words(written).split()
    parsed = number(words, 0)
    assert parsed is not None
    assert (parsed.value, parsed.end) == (written, len(words))


@given(st.integers(1100, 2999).filter(lambda year: not 2000 <= year <= 2009))
def test_a_year_survives_being_spoken(year: int) -> None:
    parsed = number(number_to_words(year, "year").split(), 0)
    assert parsed is not None
    assert parsed.value == str(year)


@given(st.from_regex("[0-9]{1,12}", fullmatch=True))
def test_digits_survive_being_read_one_by_one(digits: str) -> None:
    words = number_to_words(digits, "digits").split()
    assert digit_run(words, 0) == (digits, len(words))


@given(st.lists(st.sampled_from("one two oh hundred double point and a thousand twenty minus of".split()), max_size=8))
def test_any_words_can_be_read_without_an_error(words: list[str]) -> None:
    for start in range(len(words)):
        for parse in (cardinal, number, two_digits):
            parsed = parse(words, start)
            assert parsed is None or start < parsed.end <= len(words)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("two fifty", "250"),
        ("a hundred and five", "105"),
        ("one oh five", "105"),
        ("nineteen sixty seven", "1967"),
        ("twenty five hundred", "2500"),
        ("double seven", "77"),
        ("two and a half", "2.5"),
        ("a dozen", "12"),
        ("two dozen", "24"),
        ("half a dozen", "6"),
        ("a couple of", "2"),
        ("minus three point one four", "-3.14"),
        ("minus zero", "0"),
        ("1,250", "1250"),
    ],
)
def test_numbers_as_people_say_them(said: str, value: str) -> None:
    words = normalize(said).split()
    parsed = number(words, 0) or number(["one", *words], 0)
    assert parsed is not None
    assert parsed.value in (value, f"1{value}")


@pytest.mark.parametrize("said", ["hundred", "thousand", "and", "a", "point five", ""])
def test_what_begins_no_number(said: str) -> None:
    assert number(said.split(), 0) is None


def test_a_number_that_stops_at_its_point_is_unfinished() -> None:
    parsed = number(["two", "point"], 0)
    assert parsed is not None
    assert not parsed.finished


@pytest.mark.parametrize(
    ("said", "digits"),
    [
        ("four one two two six eight five thousand", "4122685000"),
        ("four hundred twelve two sixty eight fifty", "41226850"),
        ("one eight hundred five five five double one two two", "18005551122"),
        ("triple zero oh seven", "00007"),
    ],
)
def test_digits_however_they_are_grouped(said: str, digits: str) -> None:
    assert digit_run(said.split(), 0) == (digits, len(said.split()))
