"""The normal form of words, spoken numbers, sentences and clauses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.text import (
    LARGEST_NUMBER,
    LONGEST_CLAUSE_CHARS,
    ClauseStream,
    clauses,
    normalize,
    number_to_words,
    sentence_spans,
    sentences,
)

WORDS_OF_SPEECH = """
    20 oz um uh huh and hundred don't can't it's it'd've pm am two 3pm 3:30 $2.50 1,000 A1C p.m. Dr. 1/2 ½ feet
"""
PIECES_OF_SPEECH = st.text(
    st.one_of(st.sampled_from("aeimnopst .,'-:$%0123456789GMEF"), st.characters()), max_size=60
) | st.lists(st.sampled_from(WORDS_OF_SPEECH.split()), max_size=10).map(" ".join)


@pytest.mark.parametrize(
    ("said", "normal"),
    [
        ("I'd like a 20-ounce latte.", "i would like a twenty ounce latte"),
        ("twenty ounces", "twenty ounce"),
        ("20 oz", "twenty ounce"),
        ("20oz", "twenty ounce"),
        ("g-m-e-f-3-9", "g m e f three nine"),
        ("GMEF39", "g m e f three nine"),
        ("A1C", "a one c"),
        ("$2.50", "two dollars and fifty cents"),
        ("$1,250", "one thousand two hundred fifty dollars"),
        ("$1.00", "one dollar"),
        ("1,250.50", "one thousand two hundred fifty point five zero"),
        ("at 3:30 p.m.", "at three thirty p m"),
        ("9:05 AM", "nine oh five a m"),
        ("I am two", "i am two"),
        ("at 3 pm", "at three p m"),
        ("2 in the morning", "two in the morning"),
        ("in 2026", "in twenty twenty six"),
        ("1905", "nineteen oh five"),
        ("01923", "zero one nine two three"),
        ("one hundred and five", "one hundred five"),
        ("105", "one hundred five"),
        ("the 21st", "the twenty first"),
        ("call 555-123-4567", "call five five five one two three four five six seven"),
        ("50% off", "fifty percent off"),
        ("½ cup", "one half cup"),
        ("café crème", "cafe creme"),
        ("don’t", "do not"),
        ("the doctor's", "the doctors"),
        ("um, well, uh-huh", "well uh huh"),
        ("OK", "okay"),
        ("", ""),
        ("...", ""),
    ],
)
def test_the_normal_form_is_what_is_heard(said: str, normal: str) -> None:
    assert normalize(said) == normal


@given(PIECES_OF_SPEECH)
def test_what_is_normal_stays(said: str) -> None:
    once = normalize(said)
    assert normalize(once) == once


@given(PIECES_OF_SPEECH)
def test_the_normal_form_holds_no_digit_no_capital_and_single_spaces(said: str) -> None:
    normal = normalize(said)
    assert not any(char.isdecimal() for char in normal)
    assert normal == " ".join(normal.lower().split())


@pytest.mark.parametrize(
    ("number", "style", "words"),
    [
        (0, "cardinal", "zero"),
        (13, "cardinal", "thirteen"),
        (40, "cardinal", "forty"),
        (101, "cardinal", "one hundred one"),
        (-7, "cardinal", "minus seven"),
        (1_000_000, "cardinal", "one million"),
        (12_345, "cardinal", "twelve thousand three hundred forty five"),
        ("2.50", "cardinal", "two point five zero"),
        (0.5, "cardinal", "zero point five"),
        (2.0, "cardinal", "two"),
        ("1,000", "cardinal", "one thousand"),
        (1, "ordinal", "first"),
        (12, "ordinal", "twelfth"),
        (20, "ordinal", "twentieth"),
        (103, "ordinal", "one hundred third"),
        (1905, "year", "nineteen oh five"),
        (1900, "year", "nineteen hundred"),
        (2005, "year", "two thousand five"),
        (2026, "year", "twenty twenty six"),
        ("007", "digits", "zero zero seven"),
    ],
)
def test_numbers_are_spoken(number: int | float | str, style: str, words: str) -> None:
    assert number_to_words(number, style) == words  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["", "two", "1.2.3", "5mg", "--1"])
def test_what_is_no_number_is_an_error_that_says_how_to_write_one(wrong: str) -> None:
    with pytest.raises(ValueError, match="write it in digits"):
        number_to_words(wrong)


@given(st.integers(0, LARGEST_NUMBER), st.integers(0, LARGEST_NUMBER))
def test_different_numbers_sound_different(one: int, other: int) -> None:
    assert (number_to_words(one) == number_to_words(other)) == (one == other)


@given(st.integers(0, LARGEST_NUMBER))
def test_the_normal_form_of_a_number_is_its_words(number: int) -> None:
    assert normalize(f"{number:,}") == number_to_words(number)


@given(st.integers(1100, 1_999))
def test_years_and_ordinals_end_as_cardinals_do(number: int) -> None:
    assert number_to_words(number, "ordinal").startswith(number_to_words(number // 1000 * 1000))
    assert number_to_words(number, "year").split()[0] == number_to_words(number // 100).split()[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Smith is in. Go now!", ["Dr. Smith is in.", "Go now!"]),
        ("It is $2.50. Yes.", ["It is $2.50.", "Yes."]),
        ("See you at 3 p.m. today. Bye.", ["See you at 3 p.m. today.", "Bye."]),
        ("We close at 3 p.m. Come early.", ["We close at 3 p.m.", "Come early."]),
        ("Go to No. 5 now.", ["Go to No. 5 now."]),
        ("No. That is wrong.", ["No.", "That is wrong."]),
        ("J. K. Rowling wrote it.", ["J. K. Rowling wrote it."]),
        ("Bring milk, e.g. Oat milk.", ["Bring milk, e.g. Oat milk."]),
        ("Really?! Yes…  Sure.", ["Really?!", "Yes…", "Sure."]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("one paragraph\n\nanother one", ["one paragraph", "another one"]),
        ("  ", []),
    ],
)
def test_sentences_end_where_they_end(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_the_first_clause_is_short_and_later_ones_are_not_chopped() -> None:
    text = (
        "That is one latte, with oat milk, no sugar, and a muffin, and it comes to $4.50, ready at 3 p.m. today. Bye."
    )
    assert clauses(text) == [
        "That is one latte,",
        "with oat milk, no sugar, and a muffin, and it comes to $4.50,",
        "ready at 3 p.m. today.",
        "Bye.",
    ]


def test_a_clause_comes_as_soon_as_it_is_whole() -> None:
    stream = ClauseStream()
    assert stream.push("Your order is ready") == []
    assert stream.push(", ") == []
    assert stream.push("please") == ["Your order is ready,"]
    assert stream.push(" come in. At 3 p.") == ["please come in."]
    assert stream.push("m. or so") == []
    assert stream.flush() == ["At 3 p.m. or so"]
    assert stream.flush() == []


def test_a_stream_without_marks_is_cut_at_a_space() -> None:
    found = clauses("word " * 200)
    assert len(found) > 2
    assert all(len(clause) <= LONGEST_CLAUSE_CHARS for clause in found)
    assert all(set(clause.split()) == {"word"} for clause in found)


WRITTEN = st.text(st.sampled_from("ab AB.,;:!? 123$\n'\"p.m. No. 5 Dr. "), max_size=700)


@given(WRITTEN, st.lists(st.integers(1, 40), min_size=1, max_size=50))
def test_clauses_do_not_depend_on_how_the_text_arrives(text: str, cuts: list[int]) -> None:
    stream, found, position = ClauseStream(), [], 0
    for n_chars in cuts:
        found += stream.push(text[position : position + n_chars])
        position += n_chars
    found += [*stream.push(text[position:]), *stream.flush()]
    assert found == clauses(text)


@given(WRITTEN)
def test_no_letter_is_lost_between_clauses_or_sentences(text: str) -> None:
    assert "".join("".join(clauses(text)).split()) == "".join(text.split())
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


def test_sentences_stand_where_they_are_said_to() -> None:
    text = "We open at 9 a.m. on Mondays.  Is it free?\n\nYes. Yes."
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences(text)
    assert sentence_spans(" ") == []
