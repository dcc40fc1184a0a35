"""Spoken numbers to digits: the inverse of `text.number_to_words`, and the shorter ways in which people say numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.text import number_to_words

DIGITS = {number_to_words(n): str(n) for n in range(10)}
_SMALL = {number_to_words(n): n for n in range(20)}
_TENS = {number_to_words(n): n for n in range(20, 100, 10)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "quadrillion": 10**15}
_REPEATS = {"double": 2, "triple": 3}
_FRACTIONS = {"and a half": ".5", "and one half": ".5", "and a quarter": ".25", "and one quarter": ".25"}
_COUNTS = {"dozen": 12, "couple": 2, "pair": 2}
_OH = ("oh", "o")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A value in canonical form and the index behind its last word; `marked` when its kind is certain."""

    value: str
    end: int
    finished: bool = True
    marked: bool = False


def cardinal(words: Sequence[str], start: int) -> Parsed | None:
    """The longest regular number at `start`: "one hundred twenty one thousand five"."""
    total, at, scale_before = 0, start, 10**18
    while True:
        group = _below_1000(words, at)
        if group is None:
            break
        value, end = group
        scale = _SCALES.get(_word(words, end))
        if scale is not None and scale < scale_before:
            total, at, scale_before = total + value * scale, end + 1, scale
            if _word(words, at) == "and" and _below_1000(words, at + 1) is not None:
                at += 1
            continue
        if at > start and value >= scale_before:
            break
        total, at = total + value, end
        break
    return None if at == start else Parsed(str(total), at)


def _below_100(words: Sequence[str], at: int) -> tuple[int, int] | None:
    word = _word(words, at)
    if word in _SMALL:
        return _SMALL[word], at + 1
    if word not in _TENS:
        return None
    ones = _SMALL.get(_word(words, at + 1), 0)
    return (_TENS[word] + ones, at + 2) if 1 <= ones <= 9 else (_TENS[word], at + 1)


def _below_1000(words: Sequence[str], at: int) -> tuple[int, int] | None:
    """Up to 9,999 really, for "twenty five hundred"."""
    following = _word(words, at + 1)
    if _word(words, at) in ("a", "an") and (following == "hundred" or following in _SCALES):
        value, at = 1, at + 1
    elif (small := _below_100(words, at)) is not None:
        value, at = small
    else:
        return None
    if _word(words, at) != "hundred" or value == 0:
        return value, at
    value, at = value * 100, at + 1
    rest = _below_100(words, at + 1 if _word(words, at) == "and" else at)
    return (value + rest[0], rest[1]) if rest is not None and rest[0] else (value, at)


def two_digits(words: Sequence[str], start: int) -> Parsed | None:
    """Two digits as they follow a price or an hour: "fifty", "oh five"."""
    if _word(words, start) in _OH and _word(words, start + 1) in DIGITS:
        return Parsed("0" + DIGITS[words[start + 1]], start + 2)
    parsed = _below_100(words, start)
    return Parsed(str(parsed[0]), parsed[1]) if parsed is not None and parsed[0] >= 10 else None


def number(words: Sequence[str], start: int, *, joined: bool = True) -> Parsed | None:
    """A number as people say it: "two fifty" 250, "nineteen sixty seven" 1967, "two and a half" 2.5, "a dozen" 12.

    Without `joined`, parts that follow each other are not put together to one number.
    """
    if _word(words, start) in ("minus", "negative"):
        positive = number(words, start + 1, joined=joined)
        if positive is None:
            return None
        value = positive.value if positive.value == "0" else f"-{positive.value}"
        return Parsed(value, positive.end, positive.finished)
    counted = _counted(words, start)
    if counted is not None:
        return counted
    whole = cardinal(words, start)
    if whole is None:
        return None
    text, at = whole.value, whole.end
    if joined and int(text) < 100:
        more, at = _joined(words, at)
        text = str(int(text + more))
    if _word(words, at) == "point":
        decimals, end = digit_run(words, at + 1)
        if decimals:
            return Parsed(f"{text}.{decimals}".rstrip("0").rstrip("."), end)
        return Parsed(text, at + 1, finished=False) if at + 1 == len(words) else Parsed(text, at)
    fraction = _FRACTIONS.get(" ".join(words[at : at + 3]))
    return Parsed(text + fraction, at + 3) if fraction else Parsed(text, at)


def _joined(words: Sequence[str], at: int) -> tuple[str, int]:
    """The digits of small numbers that follow a small number: "sixty seven" after "nineteen"."""
    digits = ""
    while True:
        if (repeated := _repeated(words, at)) is not None:
            more, at = repeated
            digits += more
        elif _word(words, at) in _OH and digits_follow(words, at + 1):
            digits, at = digits + "0", at + 1
        elif (small := _below_100(words, at)) is not None and _word(words, small[1]) not in ("hundred", *_SCALES):
            digits, at = digits + str(small[0]), small[1]
        else:
            return digits, at


def digits_follow(words: Sequence[str], at: int) -> bool:
    """Whether a digit or another "oh" stands at `at`."""
    return _word(words, at) in (*DIGITS, *_OH)


def _counted(words: Sequence[str], start: int) -> Parsed | None:
    """ "a dozen", "two dozen", "half a dozen", "a couple of"."""
    if list(words[start : start + 3]) == ["half", "a", "dozen"]:
        return Parsed("6", start + 3)
    times, at = 1, start + (_word(words, start) == "a")
    if at == start and (small := _below_100(words, start)) is not None:
        times, at = small
    count = _COUNTS.get(_word(words, at))
    if count is None or at == start or (count == 2 and times != 1):
        return None
    return Parsed(str(times * count), at + 1 + (_word(words, at + 1) == "of"))


def digit_run(words: Sequence[str], start: int) -> tuple[str, int]:
    """Digits however they are grouped: "four one two", "four twelve", "double seven", "five thousand"; maybe none."""
    digits, at = "", start
    while at < len(words):
        if (repeated := _repeated(words, at)) is not None:
            more, at = repeated
        elif words[at] in _OH and (digits or digits_follow(words, at + 1)):
            more, at = "0", at + 1
        elif words[at] in _SMALL or words[at] in _TENS:
            more, at = _group(words, at)
        else:
            break
        digits += more
    return digits, at


def _group(words: Sequence[str], at: int) -> tuple[str, int]:
    """One group of digits. "eight hundred five five five" is 800 555: the fives are read one by one."""
    if _word(words, at + 1) == "hundred" and words[at] in DIGITS and _word(words, at + 2) in DIGITS:
        after = _word(words, at + 3)
        if after in DIGITS and _word(words, at + 4) != "hundred":
            return DIGITS[words[at]] + "00", at + 2
    parsed = cardinal(words, at)
    return (parsed.value, parsed.end) if parsed is not None else ("", at + 1)


def _repeated(words: Sequence[str], at: int) -> tuple[str, int] | None:
    digit = DIGITS.get(_word(words, at + 1), "0" if _word(words, at + 1) in _OH else "")
    times = _REPEATS.get(_word(words, at))
    return (digit * times, at + 2) if times and digit else None


def _word(words: Sequence[str], at: int) -> str:
    return words[at] if 0 <= at < len(words) else ""
