"""Spoken dates and times of day: "the thirtieth of november", "in three days", "half past two"."""

import re
from collections.abc import Sequence
from datetime import date, timedelta

from rejoinder.nlu.numerals import Parsed, cardinal, number, two_digits
from rejoinder.text import number_to_words

MONTHS = {
    name: month
    for month, names in enumerate(
        (
            *("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug"),
            *("september sept sep", "october oct", "november nov", "december dec"),
        ),
        start=1,
    )
    for name in names.split()
}
_WEEKDAYS = {name: day for day, name in enumerate("monday tuesday wednesday thursday friday saturday sunday".split())}
_ORDINALS = {number_to_words(n, "ordinal"): n for n in range(1, 32)}
_UNITS = {"day": 1, "days": 1, "week": 7, "weeks": 7}
_NEAR = {"today": 0, "tonight": 0, "tomorrow": 1, "yesterday": -1}
_WHOLE_TIMES = {"noon": "12:00", "midday": "12:00", "midnight": "00:00"}
_MINUTES = {"half": 30, "quarter": 15}
_MORNING = (("in", "the", "morning"), ("this", "morning"), ("a", "m"), ("am",))
_LATER = (("in", "the", "afternoon"), ("this", "afternoon"), ("p", "m"), ("pm",), ("tonight",))
_LATE = (("in", "the", "evening"), ("this", "evening"), ("at", "night"))

LAST_SMALL_HOUR = 6
"""Hours from 1 to this one, without "am" or "pm", are in the afternoon: few businesses open before seven."""

_ISO = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_AMERICAN = re.compile(r"\b(\d{1,2})/(\d{1,2})/(\d{4})\b")


def spell_dates(text: str) -> str:
    """Dates in digits as they are spoken: "2026-11-30" and "11/30/2026" are "november thirtieth 2026"."""

    def spoken(year: str, month: str, day: str, written: str) -> str:
        names = {number: name for name, number in reversed(MONTHS.items())}
        if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
            return written
        return f"{names[int(month)]} {number_to_words(int(day), 'ordinal')} {year}"

    text = _ISO.sub(lambda match: spoken(match[1], match[2], match[3], match[0]), text)
    return _AMERICAN.sub(lambda match: spoken(match[3], match[1], match[2], match[0]), text)


def parse_date(words: Sequence[str], start: int, *, today: date, expected: bool = False) -> Parsed | None:
    """The date at `start` in ISO form; without a year, the next such day from `today` on.

    Unfinished is a month without its day. Bare numbers ("eleven thirty nineteen sixty seven") are a month, a day and a
    year only where a date is `expected`.
    """
    word = _word(words, start)
    for parsed in (
        _near_day(words, start, today),
        _weekday(words, start, today),
        _month_first(words, start, today),
        _day_first(words, start, today),
        _month_number(words, start, today) if expected else None,
    ):
        if parsed is not None:
            return parsed
    if word in MONTHS and word != "may" and word != "march" and start + 1 == len(words):
        return Parsed("", start + 1, finished=False)
    return None


def _near_day(words: Sequence[str], start: int, today: date) -> Parsed | None:
    """ "tomorrow", "the day after tomorrow", "in three days", "two weeks from now"."""
    word = _word(words, start)
    if word in _NEAR:
        return _parsed(today + timedelta(days=_NEAR[word]), start + 1)
    if tuple(words[start : start + 3]) == ("day", "after", "tomorrow"):
        return _parsed(today + timedelta(days=2), start + 3)
    begins = start + 1 if word == "in" else start
    amount = Parsed("1", begins + 1) if _word(words, begins) in ("a", "one") else cardinal(words, begins)
    if amount is None or _word(words, amount.end) not in _UNITS or len(amount.value) > 4:
        return None
    end = amount.end + 1
    if word != "in":
        if tuple(words[end : end + 2]) not in (("from", "now"), ("from", "today")):
            return None
        end += 2
    return _parsed(today + timedelta(days=int(amount.value) * _UNITS[words[amount.end]]), end)


def _weekday(words: Sequence[str], start: int, today: date) -> Parsed | None:
    """ "friday", "this friday", "this friday": the coming one; "next friday" is in the week after this one."""
    at = start + 1 if _word(words, start) in ("next", "this", "coming") else start
    day = _WEEKDAYS.get(_word(words, at).removesuffix("s"))
    if day is None:
        return None
    after = at + 1 + (_word(words, at + 1) == "the")
    exact = _month_first(words, after, today) or _day_first(words, after, today)  # "friday the thirteenth of march"
    if exact is not None:
        return exact
    ahead = (day - today.weekday()) % 7
    if words[start] == "next" and (ahead == 0 or day > today.weekday()):
        ahead += 7
    return _parsed(today + timedelta(days=ahead), at + 1)


def _month_first(words: Sequence[str], start: int, today: date) -> Parsed | None:
    month = MONTHS.get(_word(words, start))
    if month is None:
        return None
    day = _day(words, start + 1 + (_word(words, start + 1) == "the"))
    return None if day is None else _with_year(month, int(day.value), words, day.end, today)


def _day_first(words: Sequence[str], start: int, today: date) -> Parsed | None:
    """ "the thirtieth of november", "thirty november"; an ordinal alone is a day of this or the next month."""
    at = start + (_word(words, start) == "the")
    day = _day(words, at)
    if day is None:
        return None
    after = day.end + (_word(words, day.end) == "of")
    month = MONTHS.get(_word(words, after))
    if month is not None:
        return _with_year(month, int(day.value), words, after + 1, today)
    if not day.marked or at == start:
        return None
    for later in range(3):
        year, month_index = divmod(today.year * 12 + today.month - 1 + later, 12)
        found = _date(year, month_index + 1, int(day.value))
        if found is not None and found >= today:
            return _parsed(found, day.end)
    return None


def _month_number(words: Sequence[str], start: int, today: date) -> Parsed | None:
    month = cardinal(words, start)
    if month is None or not 1 <= int(month.value) <= 12:
        return None
    day = _day(words, month.end)
    if day is None:
        return None
    year = _year(words, day.end, today)
    return None if year is None else _with_year(int(month.value), int(day.value), words, day.end, today)


def _day(words: Sequence[str], start: int) -> Parsed | None:
    for n_words in (2, 1):
        ordinal = _ORDINALS.get(" ".join(words[start : start + n_words]))
        if ordinal is not None and start + n_words <= len(words):
            return Parsed(str(ordinal), start + n_words, marked=True)
    day = cardinal(words, start)
    if day is None and _word(words, start) in ("oh", "o"):
        day = cardinal(words, start + 1)
    return day if day is not None and 1 <= int(day.value) <= 31 else None


def _year(words: Sequence[str], start: int, today: date) -> Parsed | None:
    """ "nineteen sixty seven", "two thousand five", and "sixty seven" for the last such year."""
    parsed = number(words, start)
    if parsed is None or not parsed.value.isdecimal():
        return None
    year = int(parsed.value)
    if 1800 <= year <= 2199:
        return Parsed(str(year), parsed.end)
    if 10 <= year <= 99:
        return Parsed(str(2000 + year if 2000 + year <= today.year + 10 else 1900 + year), parsed.end)
    return None


def _with_year(month: int, day: int, words: Sequence[str], at: int, today: date) -> Parsed | None:
    year = _year(words, at, today)
    if year is not None:
        found = _date(int(year.value), month, day)
        return None if found is None else _parsed(found, year.end)
    for candidate in range(today.year, today.year + 9):  # a 29th of February comes within eight years
        found = _date(candidate, month, day)
        if found is not None and found >= today:
            return _parsed(found, at)
    return None


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _parsed(day: date, end: int) -> Parsed:
    return Parsed(day.isoformat(), end, marked=True)


def parse_time(words: Sequence[str], start: int) -> Parsed | None:
    """The time of day at `start` as "14:30"; `marked` when more than a bare hour says that it is a time.

    Without "am" or "pm", one to six o'clock are in the afternoon.
    """
    whole = _WHOLE_TIMES.get(_word(words, start))
    if whole is not None:
        return Parsed(whole, start + 1, marked=True)
    relative = _relative_time(words, start)
    if relative is not None:
        return relative
    hour = cardinal(words, start)
    if hour is None or int(hour.value) > 23:
        return None
    minutes, end, marked = 0, hour.end, False
    part = two_digits(words, hour.end)
    if part is not None and int(part.value) < 60:
        minutes, end, marked = int(part.value), part.end, True
    if _word(words, end) == "oclock":
        end, marked = end + 1, True
    return _on_clock(int(hour.value), minutes, words, end, marked=marked)


def _relative_time(words: Sequence[str], start: int) -> Parsed | None:
    """ "half past two", "a quarter to five", "ten minutes after three"."""
    at = start + (_word(words, start) == "a")
    minutes = _MINUTES.get(_word(words, at))
    end = at + 1
    if minutes is None:
        spoken = cardinal(words, at)
        if spoken is None or int(spoken.value) > 59:
            return None
        minutes, end = int(spoken.value), spoken.end + (_word(words, spoken.end) in ("minute", "minutes"))
    direction = _word(words, end)
    hour = cardinal(words, end + 1)
    if (
        direction not in ("past", "after", "to", "till", "before", "of")
        or hour is None
        or not 1 <= int(hour.value) <= 23
    ):
        return None
    if direction in ("past", "after"):
        return _on_clock(int(hour.value), minutes, words, hour.end, marked=True)
    later = _on_clock(int(hour.value), 0, words, hour.end, marked=True)
    total = (int(later.value[:2]) * 60 - minutes) % (24 * 60)
    return Parsed(f"{total // 60:02d}:{total % 60:02d}", later.end, marked=True)


def _on_clock(hour: int, minutes: int, words: Sequence[str], at: int, *, marked: bool) -> Parsed:
    """Settle the half of the day."""
    for phrases, shift in ((_MORNING, 0), (_LATER, 12), (_LATE, 12)):
        for phrase in phrases:
            if tuple(words[at : at + len(phrase)]) == phrase:
                if hour <= 12:
                    midnight = shift == 0 or (phrases is _LATE and hour == 12)
                    hour = hour % 12 + (0 if midnight else 12)
                return Parsed(f"{hour:02d}:{minutes:02d}", at + len(phrase), marked=True)
    if 1 <= hour <= LAST_SMALL_HOUR:
        hour += 12
    return Parsed(f"{hour:02d}:{minutes:02d}", at, marked=marked)


def _word(words: Sequence[str], at: int) -> str:
    return words[at] if 0 <= at < len(words) else ""
