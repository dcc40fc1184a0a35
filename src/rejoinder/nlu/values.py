"""Values of the open kinds, from spoken words to canonical strings.

number "42", "-3", "2.5"; date ISO "2026-11-30"; time "14:30"; money "2.50"; phone digits only; code letters and digits,
upper case; yes_no "yes" or "no". Words come in the normal form of `text.normalize`: lower case, digits spoken.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

from rejoinder.domain import Slot, SlotKind
from rejoinder.nlu.calendar import parse_date, parse_time
from rejoinder.nlu.numerals import DIGITS, Parsed, cardinal, digit_run, number, two_digits

UNMARKED = 0.3
"""Cost of a value that nothing marks as one of its kind: "two fifty" may be money, a time or a number."""

N_PHONE_DIGITS_LEAST = 7
"""Digits that make a telephone number where the slot gives no lengths."""

N_CODE_LEAST = 3
"""Characters that make a spelled code which was not asked for; fewer occur by chance ("a b")."""

CURRENCY_WORDS = frozenset("dollar dollars buck bucks euro euros pound pounds".split())
HUNDREDTH_WORDS = frozenset("cent cents penny pennies pence".split())

NO_NUMBER_AFTER = frozenset("the that this which another any every each no some".split())
ENDINGS = frozenset(["", "please", "thanks", "then", "instead"])
"""Words after and before which "one" is no number: "that one", "the large one please"."""

HOMOPHONES = {"to": "two", "too": "two", "for": "four", "won": "one", "ate": "eight", "tree": "three", "fore": "four"}
"""What recognizers write for a digit that is spoken alone."""

_HEARD_LETTERS = """a ay, b bee be, c see sea, d dee, e, f eff, g gee, h aitch, i eye, j jay, k kay, l el, m em, n en,
    o, p pea, q queue cue, r are, s ess, t tea tee, u you, v vee, w, x ex, y why, z zee zed"""
LETTER_NAMES = {name: group.split()[0] for group in _HEARD_LETTERS.split(",") for name in group.split()}
"""What recognizers write for a spoken letter, and the letter."""
NATO = {
    word: word[0]
    for word in """alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar
    papa quebec romeo sierra tango uniform victor whiskey xray yankee zulu""".split()
}
CODE_SEPARATORS = frozenset("dash hyphen slash capital letter letters number dot".split())

YES_WORDS = frozenset(
    "yes yeah yep yup sure correct right ok okay absolutely definitely exactly affirmative aye".split()
)
NO_WORDS = frozenset("no nope nah not negative wrong incorrect".split())


@dataclass(frozen=True, slots=True)
class Found:
    """A value in the words `start` to `end` (exclusive). `cost` is 0 when its kind is certain.

    An unfinished one ("four one two" of a telephone number) may have no value yet.
    """

    value: str
    start: int
    end: int
    cost: float = 0.0
    finished: bool = True


def find_values(slot: Slot, words: Sequence[str], *, today: date, expected: bool = False) -> Iterator[Found]:
    """Every value for a slot of an open kind, the longest at each place; none for a closed slot.

    `today` dates "tomorrow" and days without a year. An `expected` value needs no mark of its kind.
    """
    parse = _parser(slot, today=today, expected=expected)
    if parse is None:
        return
    for start in range(len(words)):
        found = parse(words, start)
        if found is not None:
            yield found


_Parser = Callable[[Sequence[str], int], Found | None]


def _parser(slot: Slot, *, today: date, expected: bool) -> _Parser | None:
    match slot.kind:
        case SlotKind.NUMBER:
            return partial(_number, slot=slot, expected=expected)
        case SlotKind.MONEY:
            return partial(_money, slot=slot, expected=expected)
        case SlotKind.PHONE:
            return partial(_phone, slot=slot, expected=expected)
        case SlotKind.CODE:
            return partial(_code, slot=slot, expected=expected)
        case SlotKind.TIME:
            return partial(_time, expected=expected)
        case SlotKind.DATE:
            return partial(_date, today=today, expected=expected)
        case SlotKind.YES_NO:
            return _yes_no
        case SlotKind.CLOSED:
            return None


def _number(words: Sequence[str], start: int, *, slot: Slot, expected: bool) -> Found | None:
    if expected and len(words) == 1 and words[0] in HOMOPHONES:
        words = [HOMOPHONES[words[0]]]
    parsed = number(words, start)
    if parsed is None or not _within(slot, parsed.value):
        return None
    if words[start] == "one" and parsed.end == start + 1 and not expected:
        before = words[start - 1] if start else ""
        if before in NO_NUMBER_AFTER or (start and _word(words, parsed.end) in ENDINGS):
            return None
    return Found(parsed.value, start, parsed.end, 0.05, parsed.finished)


def _within(slot: Slot, value: str) -> bool:
    if not value:
        return True
    return (slot.min is None or float(value) >= slot.min) and (slot.max is None or float(value) <= slot.max)


def _money(words: Sequence[str], start: int, *, slot: Slot, expected: bool) -> Found | None:
    one = words[start] == "a" and _word(words, start + 1) in CURRENCY_WORDS | HUNDREDTH_WORDS
    parsed = Parsed("1", start + 1) if one else number(words, start, joined=False)
    if parsed is None or parsed.value.startswith("-"):
        return None
    end, marked = parsed.end, False
    amount = float(parsed.value or 0)
    if _word(words, end) in HUNDREDTH_WORDS:
        amount, end, marked = amount / 100, end + 1, True
    elif _word(words, end) in CURRENCY_WORDS:
        end, marked = end + 1, True
        after = end + 1 if _word(words, end) == "and" else end
        part = two_digits(words, after) or cardinal(words, after)
        named = part is not None and _word(words, part.end) in HUNDREDTH_WORDS
        if part is not None and int(part.value) < 100 and (named or len(part.value) == 2):
            amount, end = amount + int(part.value) / 100, part.end + named
    elif "." not in parsed.value and (part := two_digits(words, end)) is not None:
        amount, end = amount + int(part.value) / 100, part.end
        if _word(words, end) in CURRENCY_WORDS:  # "two fifty dollars"
            end, marked = end + 1, True
    value = f"{amount:.2f}"
    if not _within(slot, value):
        return None
    return Found(value, start, end, 0.0 if marked else (0.05 if expected else UNMARKED), parsed.finished)


def _phone(words: Sequence[str], start: int, *, slot: Slot, expected: bool) -> Found | None:
    digits, end = digit_run(words, start + 1 if words[start] == "plus" else start)
    if not digits or _inside_run(words, start):
        return None
    n_most = max(slot.lengths, default=0)
    if slot.lengths and len(digits) > n_most:
        return None
    finished = len(digits) in slot.lengths if slot.lengths else len(digits) >= N_PHONE_DIGITS_LEAST
    if not expected and len(digits) < min(N_PHONE_DIGITS_LEAST, n_most or N_PHONE_DIGITS_LEAST):
        return None
    return Found(digits, start, end, 0.0, finished)


def _inside_run(words: Sequence[str], start: int) -> bool:
    """Whether the digits at `start` go on from digits before them."""
    return start > 0 and bool(digit_run(words, start - 1)[0])


def _code(words: Sequence[str], start: int, *, slot: Slot, expected: bool) -> Found | None:
    characters: list[str] = []
    at = start
    while at < len(words):
        read = _code_part(words, at, expected=expected)
        if read is None:
            if characters and words[at] in CODE_SEPARATORS and at + 1 < len(words):
                at += 1
                continue
            break
        part, at = read
        characters.append(part)
    code = _with_oh("".join(characters))
    n_most = max(slot.lengths, default=0)
    if not code or _inside_run(words, start) or (slot.lengths and len(code) > n_most):
        return None
    finished = len(code) in slot.lengths if slot.lengths else True
    if not expected:
        certain = finished if slot.lengths else len(code) >= N_CODE_LEAST + (words[start] in ("a", "i"))
        if not certain or (code.isalpha() and len(code) < N_CODE_LEAST):
            return None
    return Found(code, start, at, 0.0, finished)


def _code_part(words: Sequence[str], at: int, *, expected: bool) -> tuple[str, int] | None:
    """One spoken part of a code: its characters and where it ends. "?" stands for an "oh"."""
    word, following = words[at], _word(words, at + 1)
    if word in ("oh", "o"):
        return "?", at + 1
    if word == "double" and following in ("u", "you"):
        return "W", at + 2
    if word in ("double", "triple") and following in LETTER_NAMES:
        return LETTER_NAMES[following].upper() * (2 if word == "double" else 3), at + 2
    letter = LETTER_NAMES.get(word) if expected or len(word) == 1 else None
    if letter and following in ("as", "for", "like") and (rest := _spelling_word(words, at + 1, letter)):
        return letter.upper(), rest
    if word in NATO and (expected or word not in ("november", "hotel", "mike", "victor", "golf", "india")):
        return NATO[word].upper(), at + 1
    if letter:
        return letter.upper(), at + 1
    digits, end = digit_run(words, at)
    if digits:
        return digits, end
    if expected and word in HOMOPHONES:
        return DIGITS[HOMOPHONES[word]], at + 1
    return None


def _spelling_word(words: Sequence[str], at: int, letter: str) -> int | None:
    """Where "as in george" or "for george" ends, when its word begins with the letter."""
    at += 2 if list(words[at : at + 2]) == ["as", "in"] else 1
    word = _word(words, at)
    return at + 1 if len(word) > 1 and word[0] == letter and word not in DIGITS else None


def _with_oh(code: str) -> str:
    """An "oh" is a zero beside a digit and the letter O elsewhere."""
    for at, character in enumerate(code):
        if character == "?":
            beside = code[max(0, at - 1) : at] + code[at + 1 : at + 2]
            code = code[:at] + ("0" if any(c.isdigit() for c in beside) else "O") + code[at + 1 :]
    return code


def _time(words: Sequence[str], start: int, *, expected: bool) -> Found | None:
    parsed = parse_time(words, start)
    if parsed is None:
        return None
    after_preposition = start > 0 and words[start - 1] in ("at", "by", "around", "about", "until", "before", "after")
    cost = 0.0 if parsed.marked or (expected and len(words) <= parsed.end - start + 2) else 0.1
    if not parsed.marked and not expected and not after_preposition:
        return None
    return Found(parsed.value, start, parsed.end, cost, parsed.finished)


def _date(words: Sequence[str], start: int, *, today: date, expected: bool) -> Found | None:
    parsed = parse_date(words, start, today=today, expected=expected)
    return None if parsed is None else Found(parsed.value, start, parsed.end, 0.0, parsed.finished)


def _yes_no(words: Sequence[str], start: int) -> Found | None:
    value = "yes" if words[start] in YES_WORDS else "no" if words[start] in NO_WORDS else None
    return None if value is None else Found(value, start, start + 1)


def _word(words: Sequence[str], at: int) -> str:
    return words[at] if 0 <= at < len(words) else ""
