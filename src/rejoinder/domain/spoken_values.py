"""Plausible values of the open kinds with the words that callers use for them, to make sentences of patterns.

Values have the canonical form in which understanding finds them: number "12", money "2.50", date "2026-01-06", time
"14:30", phone "5551234567", code "A7K", yes_no "yes".
"""

import random
from dataclasses import dataclass
from datetime import date, timedelta

from rejoinder.domain import Slot, SlotKind
from rejoinder.text import number_to_words

REFERENCE_DAY = date(2026, 1, 5)
"""The day, a Monday, on which sampled sentences are spoken: what makes "tomorrow" a date."""

LARGEST_NUMBER = 20
"""Numbers go from 1 to this where the slot has no bounds; amounts of money go to five times as much."""

N_PHONE_DIGITS = 10
N_CODE_CHARS = 6

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # without I and O, which sound like a word and a zero
_YES = ("yes", "yeah", "sure", "yep", "yes please", "that's right")
_NO = ("no", "nope", "no thanks", "that's wrong")


@dataclass(frozen=True, slots=True)
class SpokenValue:
    """A slot's canonical `value`, and one `form` in which a caller says it."""

    slot: str
    value: str
    form: str


def spoken_value(slot: Slot, rng: random.Random) -> SpokenValue:
    """A random value for a slot of an open kind; raises `ValueError` for a closed one."""
    match slot.kind:
        case SlotKind.NUMBER:
            value, form = _number(slot, rng)
        case SlotKind.MONEY:
            value, form = _money(slot, rng)
        case SlotKind.DATE:
            value, form = _date(rng)
        case SlotKind.TIME:
            value, form = _time(rng)
        case SlotKind.PHONE:
            value, form = _characters("0123456789", slot, N_PHONE_DIGITS, rng)
        case SlotKind.CODE:
            # Most codes that businesses hand out are digits; some have letters.
            alphabet = rng.choice(("0123456789", "0123456789", "0123456789" + _LETTERS))
            value, form = _characters(alphabet, slot, N_CODE_CHARS, rng)
        case SlotKind.YES_NO:
            value = rng.choice(("yes", "no"))
            form = rng.choice(_YES if value == "yes" else _NO)
        case SlotKind.CLOSED:
            raise ValueError(f"slot '{slot.name}' is closed: its values are its choices")
    return SpokenValue(slot.name, value, form)


def _bounds(slot: Slot, largest: int) -> tuple[int, int]:
    """The whole numbers within the slot's bounds."""
    least = 1 if slot.min is None else -int(-slot.min // 1)
    most = max(least, largest) if slot.max is None else int(slot.max // 1)
    return (most, most) if slot.min is None and most < least else (least, max(least, most))


def _number(slot: Slot, rng: random.Random) -> tuple[str, str]:
    number = rng.randint(*_bounds(slot, LARGEST_NUMBER))
    return str(number), number_to_words(number)


def _money(slot: Slot, rng: random.Random) -> tuple[str, str]:
    least, most = _bounds(slot, 5 * LARGEST_NUMBER)
    whole = rng.randint(least, most)
    cents = rng.choice((0, 25, 50, 75, 99)) if whole < most else 0
    dollars = number_to_words(whole)
    named = f"{dollars} dollar" if whole == 1 else f"{dollars} dollars"
    if not cents:
        return f"{whole}.00", named
    spoken_cents = number_to_words(cents)
    forms = [f"{named} and {spoken_cents} cents", f"{named} {spoken_cents}", f"{dollars} {spoken_cents}"]
    return f"{whole}.{cents:02}", rng.choice(forms)


def _date(rng: random.Random) -> tuple[str, str]:
    ahead = rng.choice((0, 1, rng.randint(2, 200), rng.randint(2, 200)))
    day = REFERENCE_DAY + timedelta(days=ahead)
    if ahead < 2:
        return day.isoformat(), ("today", "tomorrow")[ahead]
    month, ordinal = _MONTHS[day.month - 1], number_to_words(day.day, "ordinal")
    return day.isoformat(), rng.choice((f"{month} {ordinal}", f"the {ordinal} of {month}"))


def _time(rng: random.Random) -> tuple[str, str]:
    hour, minute = rng.randint(0, 23), rng.choice((0, 0, 15, 30, 45, rng.randint(1, 59)))
    spoken = number_to_words((hour - 1) % 12 + 1)
    if minute:
        spoken += f" {'oh ' if minute < 10 else ''}{number_to_words(minute)}"
    day_part = "in the morning" if hour < 12 else "in the afternoon" if hour < 18 else "in the evening"
    return f"{hour:02}:{minute:02}", f"{spoken} {rng.choice(('a m' if hour < 12 else 'p m', day_part))}"


def _characters(alphabet: str, slot: Slot, n_usual: int, rng: random.Random) -> tuple[str, str]:
    value = "".join(rng.choice(alphabet) for _ in range(rng.choice(slot.lengths or (n_usual,))))
    words = [number_to_words(char, "digits") if char.isdecimal() else char.lower() for char in value]
    return value, " ".join(words)
