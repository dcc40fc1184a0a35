import re
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.domain import SlotKind
from rejoinder.domain.templates import names, needs, render, spoken_value
from rejoinder.errors import DomainError

ORDER = "That's a {size} {drink}[ with {milk}][ for {price}]."


@pytest.mark.parametrize(
    ("template", "values", "sentence"),
    [
        (ORDER, {"size": "large", "drink": "latte"}, "That's a large latte."),
        (ORDER, {"size": "large", "drink": "latte", "price": "$4"}, "That's a large latte for $4."),
        (ORDER, {"size": "large", "drink": "latte", "milk": "oat milk"}, "That's a large latte with oat milk."),
        (ORDER, {"size": "large", "drink": "latte", "milk": ""}, "That's a large latte."),
        ("Coffee[ with {milk}[ and {sugar}]].", {"sugar": "sugar"}, "Coffee."),
        ("Coffee[ with {milk}[ and {sugar}]].", {"milk": "milk"}, "Coffee with milk."),
        ("Coffee[ with {milk}[ and {sugar}]].", {"milk": "milk", "sugar": "sugar"}, "Coffee with milk and sugar."),
        ("Coffee[, with[ {milk}][ {sugar}]].", {}, "Coffee."),
        ("Coffee[, with[ {milk}][ {sugar}]].", {"sugar": "sugar"}, "Coffee, with sugar."),
        (r"\[{a}\] \{b\} \\", {"a": "x", "b": "y"}, "[x] {b} \\"),
        ("Nothing to fill.", {}, "Nothing to fill."),
        ("", {}, ""),
    ],
)
def test_parts_vanish_with_their_values(template: str, values: dict[str, str], sentence: str) -> None:
    assert render(template, values) == sentence


@pytest.mark.parametrize(
    ("template", "value", "sentence"),
    [
        ("Here is a {x}.", "americano", "Here is an americano."),
        ("Here is an {x}.", "latte", "Here is a latte."),
        ("A {x}, please.", "eight ounce latte", "An eight ounce latte, please."),
        ("A {x}.", "8 oz", "An 8 oz."),
        ("A {x}.", "18", "An 18."),
        ("A {x}.", "180", "A 180."),
        ("A {x} gift card.", "$8.50", "An $8.50 gift card."),
        ("A {x}.", "hour", "An hour."),
        ("An {x}.", "usual size", "A usual size."),
        ("A {x}.", "house coffee", "A house coffee."),
        ("A {x}.", "unit", "A unit."),
        ("An {x}.", "euro", "A euro."),
        ("An {x}.", "one-time code", "A one-time code."),
        ("A {x}.", "unusual drink", "An unusual drink."),
        ("A {x}.", "MRI", "An MRI."),
        ("A {x}.", "PIN", "A PIN."),
        ("An {x}.", "UPS parcel", "A UPS parcel."),
        ("Coffee with a {x}.", "a bit of milk", "Coffee with a bit of milk."),
        ("A {x}.", "a bit of milk", "A bit of milk."),
        ("A [{y} ]{x}.", "americano", "An americano."),
        ("Plan a {x}", "apple", "Plan an apple"),
        ("Size S, plan B {x}", "apple", "Size S, plan B apple"),
        ("Vitamin A, {x}", "apple", "Vitamin A, apple"),
    ],
)
def test_articles_agree_with_the_value(template: str, value: str, sentence: str) -> None:
    assert render(template, {"x": value}) == sentence


def test_literal_articles_stay_as_written() -> None:
    assert render("Wait a hour, or an {x}.", {"x": "day"}) == "Wait a hour, or a day."


@pytest.mark.parametrize(
    ("template", "values", "sentence"),
    [
        ("{drink} coming up.", {"drink": "latte"}, "Latte coming up."),
        ("{phone} it is.", {"phone": "iPhone"}, "iPhone it is."),
        ("All right. {drink} it is.", {"drink": "latte"}, "All right. Latte it is."),
        ("At 5 p.m. {drink}.", {"drink": "latte"}, "At 5 p.m. latte."),
        ("[{size}, ]right?", {}, "Right?"),
        ("So[ {x}], [{y}], right?", {}, "So, right?"),
        ("A coffee[ with {x}] , and [{y}] .", {}, "A coffee, and."),
        ("Ready at {t}.", {"t": "3 p.m."}, "Ready at 3 p.m."),
        ("Hm... {t}.", {"t": "yes"}, "Hm... yes."),
        ("It costs {x} , sir !", {"x": ".5"}, "It costs .5, sir!"),
        ("{a} {b} {c}", {"b": "x"}, "X"),
    ],
)
def test_the_sentence_is_tidy(template: str, values: dict[str, str], sentence: str) -> None:
    assert render(template, values) == sentence


@pytest.mark.parametrize(
    ("template", "column"),
    [
        ("a {size", 3),
        ("a {}", 3),
        ("a {si ze}", 3),
        ("a size}", 7),
        ("a ]", 3),
        ("a [{x}", 3),
        ("[{a}[{b}]", 1),
        ("so [really]", 4),
        ("a \\n", 3),
        ("a \\", 3),
    ],
)
def test_errors_name_the_column(template: str, column: int) -> None:
    with pytest.raises(DomainError, match=rf"column {column} "):
        names(template)
    with pytest.raises(DomainError, match=rf"column {column} "):
        render(template, {})


def test_names_and_needs() -> None:
    template = r"{a} [b {b} [{c}]] \{d\} {a}"
    assert names(template) == {"a", "b", "c"}
    assert needs(template) == {"a"}


@pytest.mark.parametrize(
    ("value", "kind", "spoken"),
    [
        ("2.50", SlotKind.MONEY, "$2.50"),
        ("3.00", SlotKind.MONEY, "$3"),
        ("12", SlotKind.MONEY, "$12"),
        ("1234.5", SlotKind.MONEY, "$1,234.50"),
        ("a lot", SlotKind.MONEY, "a lot"),
        ("5551234567", SlotKind.PHONE, "555-123-4567"),
        ("15551234567", SlotKind.PHONE, "1-555-123-4567"),
        ("5551234", SlotKind.PHONE, "555-1234"),
        ("911", SlotKind.PHONE, "911"),
        ("GMEF39", SlotKind.CODE, "GMEF39"),
        ("gm3", SlotKind.CODE, "GM3"),
        ("2026-11-03", SlotKind.DATE, "November 3, 2026"),
        ("2026-13-40", SlotKind.DATE, "2026-13-40"),
        ("tomorrow", SlotKind.DATE, "tomorrow"),
        ("00:05", SlotKind.TIME, "12:05 AM"),
        ("12:00", SlotKind.TIME, "12:00 PM"),
        ("15:30", SlotKind.TIME, "3:30 PM"),
        ("25:00", SlotKind.TIME, "25:00"),
        ("42", SlotKind.NUMBER, "42"),
        ("eight ounce", SlotKind.CLOSED, "eight ounce"),
        ("yes", SlotKind.YES_NO, "yes"),
    ],
)
def test_values_stand_as_they_are_read(value: str, kind: SlotKind, spoken: str) -> None:
    assert spoken_value(value, kind) == spoken


WORDS = st.text("abcDEF 12'-", min_size=1, max_size=12).map(lambda text: " ".join(text.split())).filter(bool)
PIECES = st.recursive(
    WORDS | st.sampled_from(["{x}", "{y}", "a {z}", ", ", ". ", r"\[", " "]),
    lambda inner: st.lists(inner, min_size=1, max_size=4).map(lambda pieces: f"[{''.join(pieces)}{{w}}]"),
    max_leaves=12,
)
TEMPLATES = st.lists(PIECES, max_size=6).map("".join)
VALUES = st.dictionaries(st.sampled_from("wxyz"), st.sampled_from(["", "latte", "an egg", "8 oz", "[{x}]", "\\"]))


@given(TEMPLATES, VALUES)
def test_rendering_is_tidy_whatever_the_values(template: str, values: dict[str, str]) -> None:
    sentence = render(template, values)
    assert sentence == sentence.strip()
    assert "  " not in sentence
    assert render(template, values) == sentence
    assert render(template, {name: value for name, value in values.items() if value}) == sentence
    assert needs(template) <= names(template)


@given(TEMPLATES, VALUES)
def test_every_value_that_is_needed_is_said(template: str, values: dict[str, str]) -> None:
    sentence = render(template, values).lower()
    for name in needs(template):
        assert re.sub(r"^an? ", "", values.get(name, "")).lower() in sentence


@given(st.text("ab[]{}\\ .", max_size=20))
def test_any_text_renders_or_is_refused_with_a_column(template: str) -> None:
    refusal = nullcontext() if is_well_formed(template) else pytest.raises(DomainError, match=r"^column \d+ of the ")
    with refusal:
        render(template, {"a": "x"})


def is_well_formed(template: str) -> bool:
    """The grammar once more, as rewriting: escapes and slots away, then parts that hold a slot, innermost first."""
    rest = re.sub(r"\\[][{}\\]", "", template)
    rest = re.sub(r"\{[ab]+\}", "#", rest)
    while (shorter := re.sub(r"\[[^][{}\\]*#[^][{}\\]*\]", "#", rest)) != rest:
        rest = shorter
    return not re.search(r"[][{}\\]", rest)


@given(st.text(st.characters(exclude_characters="[]{}\\", exclude_categories=["Cs"]), max_size=40))
def test_names_of_plain_text_are_none(text: str) -> None:
    assert names(text) == frozenset()
