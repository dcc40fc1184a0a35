"""Sentences beyond the domain's own: frames to put its terms into, and everyday speech that is not to be forgotten.

They are written as the recognizers write: sentence case, numbers as words, a full stop or a question mark at the end.
"""

import random
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files

from rejoinder.domain import Choice, Slot, SlotKind
from rejoinder.domain.grammar import sample
from rejoinder.text import normalize


class Style(StrEnum):
    """How a transcript is written."""

    WRITTEN = "written"
    """"Can I get a latte, please?": as Moonshine and Whisper write, but for the commas."""
    PLAIN = "plain"
    """"can i get a latte please": words alone, in their normal form."""


_MONTHS = "January February March April May June July August September October November December".split()
_WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_FIRST_NAMES = (
    "Anna Ben Carla David Emma Frank Grace Henry Iris Jacob Karen Liam Maria Nathan Olivia Peter Quentin Rosa Samuel "
    "Tanya Ursula Victor Wendy Xavier Yusuf Zoe Ahmed Priya Kenji Mei Fatima Diego Ingrid Pavel Chloe Omar Leila Hannah"
).split()
_SURNAMES = (
    "Adams Baker Chen Davies Evans Fischer Garcia Hughes Ibrahim Jensen Kowalski Lopez Miller Nguyen Okafor Patel "
    "Quinn Robinson Schmidt Tanaka Underwood Vargas Walker Young Zimmerman Costa Rossi Novak Singh Murphy Yamamoto"
).split()
_CITIES = (
    "London, Paris, Boston, Chicago, Berlin, Madrid, Rome, Dublin, Tokyo, Sydney, Toronto, New York, San Francisco, "
    "Los Angeles, Amsterdam, Vienna, Lisbon, Prague, Nairobi, Mumbai, Lima"
).split(", ")
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth twelfth thirteenth twentieth".split()
_DIGITS = "zero one two three four five six seven eight nine".split()
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# Patterns are mostly in lower case; "march" and "may" are months only in a date.
_PROPER = {word.lower(): word for word in (*_MONTHS, *_WEEKDAYS) if word not in ("March", "May")}
_PROPER_MARCH_MAY = re.compile(
    r"\b(march|may)(?= (?:the )?(?:\w+ty[- ])?(?:\w+(?:st|nd|rd|th)|two thousand|nineteen)\b)|(?<=\bof )(march|may)\b"
)
_I = re.compile(r"\bi(?=['’](?:m|d|ll|ve)\b|\b(?!['’]))")
_ARTICLE = re.compile(r"\b([Aa])n? (?=(\w+))")
_VOWEL_SOUND = re.compile(r"(?:[aeiou](?!ne\b|ni|se|ro)|hou?r|hon|heir|[FHLMNRSX]\b)", re.IGNORECASE)
_SPELLED = re.compile(rf"(?<![\w'’])(?:[a-z]|oh|{'|'.join(_DIGITS)})(?: (?:[a-z]|oh|{'|'.join(_DIGITS)}))+(?![\w'’])")
_HALF_DAY = re.compile(r"\b([ap]) m\b")

_ASKS = re.compile(
    r"(?:(?:and|so|but|yes|no|okay|sorry|hello|hi|um|uh) )*"
    r"(?:who|whom|whose|what|which|when|where|why|how|until when|at what|for how|"
    r"am|are|is|was|were|do|does|did|has|have|had|can|could|will|would|shall|should|may|might|must|"
    r"isn't|aren't|wasn't|don't|doesn't|didn't|can't|couldn't|won't|wouldn't)['’]?(?:s|re|d|ll)?\b(?! (?:me|us)\b)"
)
_NO_QUESTION = re.compile(r"(?:do not|don't|have a|whether|may be|when (?:he|she|i|we|they)\b|what a\b|how nice)")


def general_sentences(n: int, seed: int = 0, *, style: Style = Style.WRITTEN) -> tuple[str, ...]:
    """`n` different everyday sentences that are no domain's, the same for the same seed.

    They are drawn from a grammar that ships with Rejoinder: numbers, digits and spelled letters, dates, names and
    places, commands, questions, small talk, statements. None is among those that the gate measures general speech with.
    """
    rng = random.Random(f"general {seed}")
    patterns = _lines("speech/general.txt")
    slots = _general_slots(rng)
    kept_apart = set(map(normalize, _lines("canary.txt")))
    found: dict[str, str] = {}
    n_each = max(1, -(-n // len(patterns)))
    while len(found) < n:
        drawn = [text for pattern in patterns for text in sample(pattern, slots, n=n_each, seed=rng.randrange(1 << 30))]
        rng.shuffle(drawn)
        n_before = len(found)
        for text in drawn:
            if (key := normalize(text)) not in kept_apart and len(found) < n:
                found.setdefault(key, as_written(text, style))
        if len(found) == n_before:
            n_each *= 2
        if n_each > 64 * n:
            break
    return tuple(found.values())


def framed(term: str, *, n: int, seed: int) -> list[str]:
    """At most `n` different sentences around a term, the same for the same seed; the first is the term alone."""
    rng = random.Random(f"{seed} {term}")
    frames = list(_lines("speech/frames.txt"))
    rng.shuffle(frames)
    n_each = -(-n // len(frames))
    drawn = [
        text.replace("TERM", term)
        for frame in frames[:n]
        for text in sample(frame.replace("{}", "TERM"), n=n_each, seed=rng.randrange(1 << 30))
    ]
    return list(dict.fromkeys([term, *drawn]))[:n]


def as_written(text: str, style: Style = Style.WRITTEN, *, names: Iterable[str] = ()) -> str:
    """A sentence of the grammar as a recognizer would write it; `names` keep their own case wherever they stand."""
    if style is Style.PLAIN:
        return normalize(text)
    text = " ".join(text.split())
    text = _I.sub("I", _HALF_DAY.sub(r"\1.m.", text))
    text = _SPELLED.sub(_in_capitals, text)
    text = _ARTICLE.sub(lambda match: f"{match[1]}n " if _VOWEL_SOUND.match(match[2]) else f"{match[1]} ", text)
    text = re.sub(r"[A-Za-z]+", lambda match: _PROPER.get(match[0], match[0]), text)
    text = _PROPER_MARCH_MAY.sub(lambda match: match[0].capitalize(), text)
    if not text:
        return text
    keeps_case = any(text.startswith(name) and name != name.lower() for name in names)  # "iPhone"
    first = text if keeps_case else text[0].upper() + text[1:]
    return first if first[-1] in ".?!" and not first.endswith(".m.") else first + _final_mark(text)


def _in_capitals(spelled: re.Match[str]) -> str:
    """Spelled letters as capitals; a lone one among digits is an article or a code's, and stays."""
    tokens = spelled[0].split()
    if sum(len(token) == 1 for token in tokens) < 2:
        return spelled[0]
    return " ".join(token.upper() if len(token) == 1 else token for token in tokens)


def _final_mark(text: str) -> str:
    lowered = text.lower()
    if text.endswith(".m."):
        return ""
    return "?" if _ASKS.match(lowered) and not _NO_QUESTION.match(lowered) else "."


@cache
def _lines(name: str) -> tuple[str, ...]:
    """The lines of a list that ships with Rejoinder, its comments left out."""
    text = (files("rejoinder") / "data" / name).read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _general_slots(rng: random.Random) -> Mapping[str, Slot]:
    """The slots of `general.txt`."""
    spelled = [" ".join(rng.choices(_LETTERS, k=rng.randint(2, 6))) for _ in range(60)]
    digits = [" ".join(rng.choices([*_DIGITS, "oh"], k=rng.randint(2, 8))) for _ in range(60)]
    lists = {
        "name": _FIRST_NAMES,
        "name_two": _FIRST_NAMES[::-1],
        "surname": _SURNAMES,
        "city": _CITIES,
        "city_two": _CITIES[::-1],
        "weekday": _WEEKDAYS,
        "weekday_two": _WEEKDAYS[::-1],
        "month": _MONTHS,
        "ordinal": _ORDINALS,
        "letters": spelled,
        "digits": digits,
        "digit": _DIGITS,
    }
    kinds = {
        "number": SlotKind.NUMBER,
        "number_two": SlotKind.NUMBER,
        "day": SlotKind.DATE,
        "time": SlotKind.TIME,
        "money": SlotKind.MONEY,
        "phone": SlotKind.PHONE,
        "code": SlotKind.CODE,
    }
    years = [f"{century} {rest}" for century in ("nineteen", "twenty") for rest in ("ten", "sixteen", "twenty one")]
    return {
        **{name: _closed(name, values) for name, values in lists.items()},
        **{name: Slot(name, kind, max=200.0 if kind is SlotKind.NUMBER else None) for name, kind in kinds.items()},
        "year": _closed("year", [*years, "nineteen thirty six", "eighteen ninety", "two thousand and four"]),
    }


def _closed(name: str, values: Iterable[str]) -> Slot:
    return Slot(name, SlotKind.CLOSED, tuple(Choice(value, (value,)) for value in dict.fromkeys(values)))
