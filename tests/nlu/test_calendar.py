"""Spoken dates and times of day."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.nlu.calendar import parse_date, parse_time, spell_dates
from rejoinder.text import normalize, number_to_words

TODAY = date(2026, 11, 23)  # a Monday
MONTHS = "January February March April May June July August September October November December".split()


def read(said: str, *, today: date = TODAY, expected: bool = False) -> str | None:
    words = normalize(spell_dates(said)).split()
    parsed = parse_date(words, 0, today=today, expected=expected)
    return parsed.value if parsed is not None and parsed.end == len(words) else None


@given(st.dates(date(1850, 1, 1), date(2150, 12, 31)))
def test_a_date_survives_every_way_of_saying_it(day: date) -> None:
    month, ordinal = MONTHS[day.month - 1], number_to_words(day.day, "ordinal")
    assert read(f"{month} {ordinal} {day.year}") == day.isoformat()
    assert read(f"the {ordinal} of {month}, {day.year}") == day.isoformat()
    assert read(f"{month} {day.day}, {number_to_words(day.year, 'year')}") == day.isoformat()
    assert read(day.isoformat()) == day.isoformat()
    assert read(f"{day.month}/{day.day}/{day.year}") == day.isoformat()


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_a_day_without_a_year_is_the_next_such_day(day: date, today: date) -> None:
    value = read(f"{MONTHS[day.month - 1]} {number_to_words(day.day, 'ordinal')}", today=today)
    assert value is not None
    found = date.fromisoformat(value)
    assert (found.month, found.day) == (day.month, day.day)
    assert today <= found < today + timedelta(days=8 * 366 + 1)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("today", "2026-11-23"),
        ("tomorrow", "2026-11-24"),
        ("day after tomorrow", "2026-11-25"),
        ("in three days", "2026-11-26"),
        ("in a week", "2026-11-30"),
        ("two weeks from now", "2026-12-07"),
        ("monday", "2026-11-23"),
        ("friday", "2026-11-27"),
        ("this friday", "2026-11-27"),
        ("next friday", "2026-12-04"),
        ("Monday the 30th of November", "2026-11-30"),
        ("the twelfth", "2026-12-12"),
        ("the thirty first", "2026-12-31"),
        ("february twenty ninth", "2028-02-29"),
        ("may third sixty seven", "1967-05-03"),
    ],
)
def test_dates_as_people_say_them(said: str, value: str) -> None:
    assert read(said) == value


def test_bare_numbers_are_a_date_only_where_one_is_expected() -> None:
    assert read("five three nineteen sixty seven") is None
    assert read("five three nineteen sixty seven", expected=True) == "1967-05-03"


@pytest.mark.parametrize("said", ["may I have", "second", "february thirtieth", "13/45/2026", "march on"])
def test_what_is_no_date(said: str) -> None:
    assert read(said) is None


def test_a_month_alone_is_unfinished() -> None:
    parsed = parse_date(["november"], 0, today=TODAY)
    assert parsed is not None
    assert not parsed.finished


def clock(said: str) -> str | None:
    words = normalize(said).split()
    parsed = parse_time(words, 0)
    return parsed.value if parsed is not None and parsed.end == len(words) else None


@given(st.integers(0, 23), st.integers(0, 59))
def test_a_time_with_its_half_of_the_day_survives_being_spoken(hour: int, minute: int) -> None:
    assert clock(f"{hour % 12 or 12}:{minute:02d} {'am' if hour < 12 else 'pm'}") == f"{hour:02d}:{minute:02d}"


@given(st.integers(13, 23), st.integers(10, 59))
def test_a_time_of_24_hours_survives_being_spoken(hour: int, minute: int) -> None:
    assert clock(f"{hour}:{minute}") == f"{hour}:{minute}"


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("two thirty", "14:30"),
        ("half past two", "14:30"),
        ("a quarter to five", "16:45"),
        ("ten minutes past nine", "09:10"),
        ("four oh five", "16:05"),
        ("nine o'clock", "09:00"),
        ("seven in the morning", "07:00"),
        ("seven in the evening", "19:00"),
        ("eleven at night", "23:00"),
        ("noon", "12:00"),
        ("midnight", "00:00"),
        ("twelve at night", "00:00"),
    ],
)
def test_times_as_people_say_them(said: str, value: str) -> None:
    assert clock(said) == value
