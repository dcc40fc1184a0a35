"""What is said for what is written."""

import datetime
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.text import normalize, number_to_words
from rejoinder.tts.verbalize import verbalize


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("It's $2.50.", "It's two dollars and fifty cents."),
        ("$4, £3.20 or €1", "four dollars, three pounds and twenty pence or one euro"),
        ("$0.99 and 50¢", "ninety nine cents and fifty cents"),
        ("-$5", "minus five dollars"),
        ("$1.5 million", "one point five million dollars"),
        ("$5-$10", "five dollars to ten dollars"),
        ("on 2026-11-30.", "on November thirtieth, twenty twenty six."),
        ("by 11/30", "by November thirtieth"),
        ("11/3/26", "November third, twenty twenty six"),
        ("Nov. 30 or 2 December", "November thirtieth or December second"),
        ("at 14:30", "at two thirty P M"),
        ("at 3 p.m.", "at three P M."),
        ("9:05am-12:00", "nine oh five eigh M to twelve o'clock"),
        ("10:30-11:30", "ten thirty to eleven thirty"),
        ("call 555-123-4567", "call five five five, one two three, four five six seven"),
        ("(555) 123-4567", "five five five, one two three, four five six seven"),
        ("code GMEF39", "code G M E F three nine"),
        ("G-M-E-F-3-9", "G M E F three nine"),
        ("AB-1234567", "eigh B one two, three four five six, seven"),
        ("an A1C test, B12", "an eigh one C test, B twelve"),
        ("20 oz", "twenty ounces"),
        ("a 20 oz latte", "a twenty ounce latte"),
        ("a 20-oz. cup", "a twenty ounce. cup"),
        ("5 mg daily, 1 mg", "five milligrams daily, one milligram"),
        ("5 mg/ml", "five milligrams per milliliter"),
        ("6 ft and 65 mph", "six feet and sixty five miles per hour"),
        ("8°C or 1 °F", "eight degrees Celsius or one degree Fahrenheit"),
        ("50%, 99.9% sure", "fifty percent, ninety nine point nine percent sure"),
        ("the 3rd of 5-10", "the third of five to ten"),
        ("No. 5, #6", "number five, number six"),
        ("Dr. Lee, 12 Main St., Apt. 4", "Doctor Lee, twelve Main Street, Apartment four"),
        ("St. Paul, e.g. now", "Saint Paul, for example, now"),
        ("1/2 or 1½ cups, 24/7", "one half or one and one half cups, twenty four seven"),
        ("info@cafe.com", "info at cafe dot com"),
        ("see https://www.cafe.com/menu.", "see cafe dot com slash menu."),
        ("milk and/or sugar & tea/coffee", "milk and or sugar and tea or coffee"),
        ("the 1990s, in 1905", "the nineteen nineties, in nineteen oh five"),
        ("ID 123456789", "ID one two three, four five six, seven eight nine"),
        ("-3.5", "minus three point five"),
        ("**Yes**, see [here](http://x.y)", "Yes, see here"),
        ("No number here.", "No number here."),
        ("  5 ", "  five "),
        ("", ""),
    ],
)
def test_it_is_said_as_people_say_it(written: str, said: str) -> None:
    assert verbalize(written) == said


REPLIES = st.text(st.sampled_from("ab AB.,:-/$€%°#+'()[]@_ 0123456789pmozg½"), max_size=50) | st.text(max_size=30)


@given(REPLIES)
def test_no_digit_and_no_sign_is_left_to_the_voice(written: str) -> None:
    assert not re.search(r"[0-9$€£%@#_\[\]{}]", verbalize(written))


@given(REPLIES)
def test_words_alone_stay_as_they_are(written: str) -> None:
    words = " ".join(re.findall(r"\b[b-z]{2,}\b", written))
    assert verbalize(words) == words


@given(st.integers(0, 999_999))
def test_numbers_with_commas_are_cardinals(number: int) -> None:
    said = verbalize(f"It is {number:,}.")
    assert said == f"It is {number_to_words(number)}."


@given(st.integers(0, 9_999), st.integers(0, 99))
def test_money_sounds_as_its_normal_form_reads(whole: int, parts: int) -> None:
    written = f"${whole:,}.{parts:02}"
    assert normalize(verbalize(written)) == normalize(written)


@given(st.dates(datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)))
def test_dates_are_said_alike_however_they_are_written(day: datetime.date) -> None:
    said = verbalize(day.isoformat())
    assert said == f"{day:%B} {number_to_words(day.day, 'ordinal')}, {number_to_words(day.year, 'year')}"
    assert verbalize(f"{day.month}/{day.day}/{day.year}") == said
    assert said.startswith(verbalize(f"{day:%B} {day.day}"))


@given(st.from_regex(r"[A-Z]{3,6}[0-9]{1,6}", fullmatch=True))
def test_every_character_of_a_code_is_said(code: str) -> None:
    said = verbalize(code).replace(",", "").split()
    assert [word[0].upper() if len(word) == 1 else word for word in said] == [
        number_to_words(char) if char.isdigit() else {"A": "eigh"}.get(char, char) for char in code
    ]


@given(st.integers(0, 23), st.integers(0, 59))
def test_every_time_of_day_is_said(hours: int, minutes: int) -> None:
    said = verbalize(f"at {hours}:{minutes:02}")
    assert said.startswith(f"at {number_to_words((hours - 1) % 12 + 1)}")
    assert said.endswith("P M") == (hours > 12)
