"""Personal data goes, however it is said; what callers want stays."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.domain import Choice, Domain, Slot, SlotKind, Term
from rejoinder.nlu.numerals import digit_run
from rejoinder.serve.redaction import (
    CARD,
    CARD_LENGTHS,
    DATE,
    EMAIL,
    LONG_NUMBER,
    NAME,
    PHONE,
    Redactor,
    has_placeholder,
    is_luhn,
    without_placeholders,
)
from rejoinder.text import number_to_words

PLAIN = Redactor()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("my card is 4111 1111 1111 1111 please", "my card is [card] please"),
        ("4111-1111-1111-1111", "[card]"),
        ("four one one one um one one one one and one one one one one one one one", "[card]"),
        ("call me back on 555-123-4567.", "call me back on [phone]."),
        ("it's five five five oh one double two", "it's [phone]"),
        ("my social is 078 05 1120", "my social is [phone]"),
        ("my PIN is 1234", "my PIN is [number]"),
        ("nine oh two one oh", "[number]"),
        ("mail it to anna.b@shop.example please", "mail it to [email] please"),
        ("it's anna dot b at shop dot com", "it's [email]"),
        ("my name is anna schmidt and I want a latte", "my name is [name] and I want a latte"),
        ("This is John Smith calling", "This is [name] calling"),
        ("Smith speaking", "[name] speaking"),
        ("my last name is S M I T H", "my last name is [name]"),
        ("under the name of schmidt please", "under the name of [name] please"),
        ("I was born on March third nineteen eighty", "I was born on [date]"),
        ("date of birth 3/4/80", "date of birth [date]"),
        ("on january twenty eighth twenty ten", "on [date]"),
        ("it was the third of May 1980 I think", "it was the [date] I think"),
        ("I live at 12 Elm Street. Do you deliver", "I live at [address]. Do you deliver"),
        ("bring it to twelve elm street please", "bring it to [address] please"),
        ("my address is the yellow house by the lake", "my address is [address]"),
    ],
)
def test_personal_data_goes(said: str, kept: str) -> None:
    assert PLAIN.text(said) == kept


@pytest.mark.parametrize(
    "said",
    [
        "a large latte with two shots and oat milk",
        "two twenty ounce lattes at the drive thru",
        "can I come on march third at two thirty",
        "January twenty eighth.",
        "I'd like 20 mg of it on the 3rd of may",
        "is there anything for 350 dollars",
        "what's my name on the order",
        "I'm looking for a gift",
        "it's Monday, are you open",
        "I need it by two thousand twenty six",
        "",
    ],
)
def test_what_callers_want_stays(said: str) -> None:
    assert PLAIN.text(said) == said


def _with_check_digit(digits: str) -> str:
    return next(digits + str(last) for last in range(10) if is_luhn(digits + str(last)))


cards = st.from_regex(r"[2-6][0-9]{11,17}", fullmatch=True).map(_with_check_digit)
breaks = st.sampled_from(["", " ", "-", ", ", " . ", " um ", " and "])


@given(number=cards, data=st.data(), spoken=st.booleans())
def test_no_card_number_is_left_however_it_is_grouped(number: str, data: st.DataObject, spoken: bool) -> None:
    digits = [number_to_words(digit) for digit in number] if spoken else list(number)
    gaps = [data.draw(breaks) for _ in digits]
    if spoken:
        gaps = [gap if gap not in ("", "-") else " " for gap in gaps]
    said = "".join(part for pair in zip(digits, gaps, strict=True) for part in pair)
    assert len(number) in CARD_LENGTHS
    kept = PLAIN.text(f"please take {said} thank you")
    assert kept.startswith(f"please take {CARD}")
    assert not re.search(r"\d", kept)
    assert not any(digit_run([word], 0)[0] for word in kept.split())


@given(st.text(max_size=300))
def test_any_text_is_taken_and_what_is_redacted_stays_redacted(text: str) -> None:
    once = PLAIN.text(text)
    assert not re.search(rf"\d{{{LONG_NUMBER},}}", once)
    assert PLAIN.text(once) == once


@given(
    st.lists(st.sampled_from("four one oh double nine um and 12 a@b.de dot at my name is born anna 5 street".split()))
)
def test_words_that_announce_much_and_hold_little_do_no_harm(words: list[str]) -> None:
    once = PLAIN.text(" ".join(words))
    assert PLAIN.text(once) == once


@pytest.fixture
def redactor() -> Redactor:
    slots = {
        "last_name": Slot("last_name", SlotKind.CLOSED, (Choice("Latte", ("Latte",)),)),
        "callback": Slot("callback", SlotKind.PHONE),
        "birthday": Slot("birthday", SlotKind.DATE),
        "email": Slot("email", SlotKind.CODE),
        "drug": Slot("drug", SlotKind.CLOSED, (Choice("Xarelto", ("Xarelto",)),)),
        "when": Slot("when", SlotKind.DATE),
        "order": Slot("order", SlotKind.CODE),
    }
    from pathlib import Path

    return Redactor.of(Domain("shop", Path(), slots=slots, terms=(Term("Xarelto"),)))


def test_a_domain_says_which_slots_are_private_and_which_words_are_no_names(redactor: Redactor) -> None:
    given = {"last_name": "Latte", "callback": "5551234567", "birthday": "1980-03-03", "email": "AB", "drug": "Xarelto"}
    assert redactor.slots(given | {"when": "2026-12-01", "order": "K77"}) == {
        **{"last_name": NAME, "callback": PHONE, "birthday": DATE, "email": EMAIL},
        **{"drug": "Xarelto", "when": "2026-12-01", "order": "K77"},
    }
    assert redactor.text("This is Xarelto, right?") == "This is Xarelto, right?"
    assert redactor.text("Thank you, Latte!", {"last_name": "Latte"}) == "Thank you, [name]!"
    assert redactor.slots({"order": "4111111111111111"}) == {"order": CARD}


def test_placeholders_are_no_words_to_learn_from() -> None:
    kept = PLAIN.text("my name is anna schmidt and I want a latte")
    assert has_placeholder(kept)
    assert without_placeholders(kept) == "my name is and i want a latte"
    assert not has_placeholder("a [large] latte")
