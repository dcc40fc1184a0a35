"""Words and numbers: one normal form for scoring and matching, spoken numbers, sentences and clauses of a text stream.

The normal form is what a person would hear, in lower case without punctuation: digits become words, because speech
has no digits ("20-ounce" -> "twenty ounce", "G-M-E-F-3-9" -> "g m e f three nine"). It goes the way of Whisper's
English normaliser (Radford et al. 2022, appendix C) but for the direction of numbers; spellings of British and
American English are left as they are.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

NumberStyle = Literal["cardinal", "ordinal", "year", "digits"]

_ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_ONES += ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = ["", "thousand", "million", "billion", "trillion", "quadrillion"]
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
LARGEST_NUMBER = 1000 ** len(_SCALES) - 1
"""Largest number that has a name here; longer ones are read digit by digit."""

NUMBER_WORDS = frozenset([*_ONES, *_TENS[2:], "hundred", *_SCALES[1:]])
"""Every word of a cardinal number."""

UNITS = {
    "oz": "ounce",
    "lb": "pound",
    "lbs": "pound",
    "mg": "milligram",
    "mcg": "microgram",
    "kg": "kilogram",
    "ml": "milliliter",
    "cl": "centiliter",
    "mm": "millimeter",
    "cm": "centimeter",
    "km": "kilometer",
    "ft": "foot",
    "mi": "mile",
    "min": "minute",
    "mins": "minute",
    "hr": "hour",
    "hrs": "hour",
    "sec": "second",
    "secs": "second",
    "gb": "gigabyte",
    "mb": "megabyte",
    "kb": "kilobyte",
    "tb": "terabyte",
    "mph": "mile per hour",
    "kwh": "kilowatt hour",
    "mbps": "megabit per second",
}
"""Abbreviations of units, as they stand after a number, and their names; none that is a word or a letter of its own."""

_IRREGULAR_PLURALS = {"foot": "feet", "inch": "inches"}

CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
}
"""Signs of currencies: the name of one, of several, of one hundredth, of several hundredths."""


def number_to_words(number: int | float | str, style: NumberStyle = "cardinal") -> str:
    """A number as it is spoken, in American English without "and" or hyphens: 121 -> "one hundred twenty one".

    A string keeps what a number would lose: "2.50" -> "two point five zero". `style` "ordinal" gives "twenty first",
    "year" gives "nineteen oh five", "digits" reads one by one. Raises `ValueError` when it is not a plain number.
    """
    written = f"{number:f}".rstrip("0").rstrip(".") if isinstance(number, float) else str(number).replace(",", "")
    if not re.fullmatch(r"-?[0-9]*\.?[0-9]+", written):
        raise ValueError(f"{number!r} is not a number that can be spoken; write it in digits, like -12, 2.50 or 1,000")
    if written.startswith("-"):
        return f"minus {number_to_words(written[1:], style)}"
    whole, point, fraction = written.partition(".")
    if point:
        return f"{number_to_words(whole or '0')} point {_digits(fraction)}"
    if style == "digits" or int(whole) > LARGEST_NUMBER:
        return _digits(whole)
    if style == "year":
        return _year(int(whole))
    words = _cardinal(int(whole))
    return _ordinal(words) if style == "ordinal" else words


def plural_unit(unit: str) -> str:
    """A unit's name for several: "foot" -> "feet", "mile per hour" -> "miles per hour"."""
    head, *rest = unit.split(" ", 1)
    return " ".join([_IRREGULAR_PLURALS.get(head, head if head.endswith("hertz") else f"{head}s"), *rest])


def _digits(digits: str) -> str:
    return " ".join(_ONES[int(digit)] for digit in digits)


def _cardinal(number: int) -> str:
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return f"{_TENS[tens]} {_ONES[ones]}" if ones else _TENS[tens]
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{_ONES[hundreds]} hundred {_cardinal(rest)}" if rest else f"{_ONES[hundreds]} hundred"
    words: list[str] = []
    for scale in _SCALES:
        number, group = divmod(number, 1000)
        if group:
            words.insert(0, f"{_cardinal(group)} {scale}".rstrip())
    return " ".join(words)


def _ordinal(cardinal: str) -> str:
    head, _, last = cardinal.rpartition(" ")
    last = _ORDINALS.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last + "th")
    return f"{head} {last}".lstrip()


def _year(number: int) -> str:
    century, rest = divmod(number, 100)
    if not 11 <= century <= 99 or (century % 10 == 0 and rest < 10):
        return _cardinal(number)
    if rest == 0:
        return f"{_cardinal(century)} hundred"
    return f"{_cardinal(century)} {'oh ' if rest < 10 else ''}{_cardinal(rest)}"


_CONTRACTIONS = {
    "won't": "will not",
    "can't": "can not",
    "cannot": "can not",
    "shan't": "shall not",
    "ain't": "is not",
    "let's": "let us",
    "y'all": "you all",
    "o'clock": "oclock",
    "gonna": "going to",
    "wanna": "want to",
    "gotta": "got to",
    "gimme": "give me",
    "lemme": "let me",
    "ok": "okay",
    "mr": "mister",
    "mrs": "missus",
    "dr": "doctor",
    "vs": "versus",
}
_ENDINGS = (("n't", " not"), ("'re", " are"), ("'ll", " will"), ("'ve", " have"), ("'m", " am"), ("'d", " would"))
_IS = frozenset(("it", "that", "what", "he", "she", "there", "here", "where", "who", "how", "when", "this"))
_SINGULAR = {plural_unit(unit).split()[0]: unit.split()[0] for unit in UNITS.values()}
_MARKS = {"%": " percent ", "&": " and ", "+": " plus ", "@": " at ", "=": " equals ", "°": " degree ", "⁄": "/"}

_MONEY = re.compile(r"([$€£])\s?([0-9][0-9,]*)(?:\.([0-9]{2})(?![0-9]))?")
_CLOCK = re.compile(r"\b([0-9]{1,2}):([0-9]{2})\b")
_DOTTED = re.compile(r"\b(?:[a-z]\.){2,}|\b[a-z](?:\.[a-z])+\b", re.IGNORECASE)
_PHONE = re.compile(r"(?<![\w.-])(?:[0-9]-)?(?:\(?[0-9]{3}\)?[ .-])?[0-9]{3}[.-][0-9]{4}(?![\w-])")
_FRACTION = re.compile(r"\b1/([24])\b")
_NUMBER = re.compile(r"(?<![\w.])-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![\w])|(?<!\w)[0-9]*\.?[0-9]+(?!\w)")
_MIXED = re.compile(r"\b(?=[a-z]*[0-9])(?=[0-9]*[a-z])[a-z0-9]+\b", re.IGNORECASE)
_GLUED_UNIT = re.compile(r"([0-9]+)([a-z]+)", re.IGNORECASE)
_NOT_WORD = re.compile(r"[^\w']+|_")
_FILLERS = frozenset(("um", "umm", "uh", "uhh", "er", "erm"))


def normalize(text: str) -> str:
    """The normal form of what was said or is to be matched: lower case words with one space between them.

    - Accents, punctuation and hesitations ("um", "uh") go; hyphens part words; "uh-huh" stays.
    - Digits are spoken: "350" "three hundred fifty", "2026" "twenty twenty six", "$2.50" "two dollars and fifty
      cents", "3:30" "three thirty", "1st" "first"; phone numbers, and numbers with a leading zero or of five and more
      digits without commas, digit by digit. The "and" in "one hundred and five" goes.
    - Codes of letters and digits are spelled: "A1C" "a one c"; so are "p.m." and "U.S.".
    - Contractions are written out ("don't" "do not"); the possessive loses its apostrophe.
    - Units are singular words: "20 oz", "20-ounce" and "twenty ounces" are all "twenty ounce".

    What is normal stays as it is: `normalize(normalize(text)) == normalize(text)`.
    """
    text = unicodedata.normalize("NFKD", text.replace("’", "'"))
    text = "".join(char for char in text if not unicodedata.combining(char))
    text = _PHONE.sub(lambda match: " ".join(match[0]), text)
    text = _MONEY.sub(lambda match: f" {money_to_words(*match.group(1, 2, 3))} ", text)
    text = _CLOCK.sub(lambda match: f" {_clock(match[1], match[2])} ", text)
    text = _DOTTED.sub(lambda match: f" {match[0].replace('.', ' ')}", text)
    for mark, word in _MARKS.items():
        text = text.replace(mark, word)
    text = _FRACTION.sub(lambda match: " one half " if match[1] == "2" else " one quarter ", text)
    text = re.sub(r"#\s?(?=[0-9])", " number ", text)
    text = _MIXED.sub(lambda match: f" {_mixed(match[0])} ", text)
    text = _NUMBER.sub(lambda match: f" {_plain_number(match[0])} ", text)
    text = "".join(f" {_ONES[int(char)]} " if char.isdecimal() else char for char in text)
    words = _NOT_WORD.sub(" ", text.lower()).split()
    return " ".join(_canonical_words([part for word in words for part in _expand(word).split()]))


def money_to_words(sign: str, amount: str, hundredths: str | None = None) -> str:
    """An amount as it is spoken: `("$", "2", "50")` -> "two dollars and fifty cents"."""
    one, many, one_part, many_parts = CURRENCIES[sign]
    whole, parts = int(amount.replace(",", "")), int(hundredths or 0)
    spoken_whole = f"{number_to_words(whole)} {one if whole == 1 else many}"
    spoken_parts = f"{number_to_words(parts)} {one_part if parts == 1 else many_parts}"
    if not parts:
        return spoken_whole
    return spoken_parts if not whole else f"{spoken_whole} and {spoken_parts}"


def _clock(hours: str, minutes: str) -> str:
    if minutes == "00":
        return number_to_words(int(hours))
    return f"{number_to_words(int(hours))} {'oh ' if minutes[0] == '0' else ''}{number_to_words(int(minutes))}"


def _plain_number(written: str) -> str:
    if "," in written or "." in written or len(written) < 4:
        zero_led = len(written) > 1 and written[0] == "0" and written.isdecimal()
        return number_to_words(written, "digits" if zero_led else "cardinal")
    if len(written) > 4 or written[0] == "0":
        return number_to_words(written, "digits")
    return number_to_words(written, "year")


def _mixed(token: str) -> str:
    """A token of letters and digits: a number with its unit or ending, or a code to be spelled."""
    glued = _GLUED_UNIT.fullmatch(token)
    if glued:
        number, letters = glued[1], glued[2].lower()
        if letters in ("st", "nd", "rd", "th"):
            return number_to_words(number, "ordinal")
        if letters in UNITS or letters in ("am", "pm"):
            return f"{_plain_number(number)} {letters}"
    return " ".join(number_to_words(char, "digits") if char.isdecimal() else char for char in token)


def _expand(word: str) -> str:
    word = word.strip("'")
    if word in _CONTRACTIONS:
        return _CONTRACTIONS[word]
    if word.endswith("'s") and word[:-2] in _IS:
        return f"{word[:-2]} is"
    for ending, expansion in _ENDINGS:
        if word.endswith(ending) and len(word) > len(ending):
            return (word[: -len(ending)] + expansion).replace("'", "")
    return word.replace("'", "")


def _canonical_words(words: list[str]) -> Iterator[str]:
    """Hesitations dropped, "and" inside numbers dropped, units named in the singular, "pm" spelled."""
    previous = ""
    for index, word in enumerate(words):
        following = words[index + 1] if index + 1 < len(words) else ""
        if word in _FILLERS and following != "huh":
            continue
        if word == "and" and previous in ("hundred", "thousand", "million") and following in NUMBER_WORDS:
            continue
        if word == "pm" or (word == "am" and previous in NUMBER_WORDS):
            yield from word
        elif word in UNITS and previous in NUMBER_WORDS:
            yield UNITS[word]
        else:
            yield _SINGULAR.get(word, word)
        previous = word


FIRST_CLAUSE_CHARS = 12
"""Characters after which the first clause may end at a comma: short, so that its audio comes early."""
CLAUSE_CHARS = 60
"""Characters after which a later clause may end at a comma; shorter ones sound chopped."""
LONGEST_CLAUSE_CHARS = 300
"""Characters after which a clause ends at any space."""

_BORDER = re.compile(r"""([.!?…]+|[,;:—–])(["'”’)\]]*)(\s+)(?=\S)""")
_ABBREVIATION = re.compile(
    "mrs?|ms|dr|prof|st|mt|ft|gen|gov|sen|rep|capt|lt|col|sgt|rev|hon|[js]r|vs|e.g|i.e|etc|approx|inc|ltd|corp|co|dept|ave|"
    "blvd|rd|apt|ste|ext|fig|vol|est|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thu|thurs|fri|sat|sun"
)
_ENDING_ABBREVIATIONS = frozenset(("etc", "inc", "ltd", "corp", "co", "jr", "sr"))
"""Abbreviations that often end a sentence: one with a capital letter after it does."""


class ClauseStream:
    """Cuts a text that arrives in pieces into clauses, each as soon as it is whole.

    A sentence's end always ends a clause; a comma, colon or dash does after `FIRST_CLAUSE_CHARS` in the first clause
    and `CLAUSE_CHARS` in later ones. How the text was cut into pieces does not change the clauses.
    """

    def __init__(self) -> None:
        self._text = ""
        self._is_first = True

    def push(self, piece: str) -> list[str]:
        """Take more text; return the clauses that are whole now."""
        self._text += piece
        clauses: list[str] = []
        while (end := self._next_end()) is not None:
            clause, self._text = self._text[:end].strip(), self._text[end:].lstrip()
            if clause:
                clauses.append(clause)
                self._is_first = False
        return clauses

    def flush(self) -> list[str]:
        """Return what is left, and begin anew."""
        rest, self._text, self._is_first = self._text.strip(), "", True
        return [rest] if rest else []

    def _next_end(self) -> int | None:
        n_least = FIRST_CLAUSE_CHARS if self._is_first else CLAUSE_CHARS
        for border in _BORDER.finditer(self._text, 0, LONGEST_CLAUSE_CHARS + 1):
            if _ends_sentence(self._text, border) or (border[1] in ",;:—–" and border.end(2) >= n_least):
                return border.end(2)
        if len(self._text) <= LONGEST_CLAUSE_CHARS:
            return None
        space = self._text.rfind(" ", 1, LONGEST_CLAUSE_CHARS + 1)
        return space if space > 0 else LONGEST_CLAUSE_CHARS


def clauses(text: str) -> list[str]:
    """The clauses of a whole text, as `ClauseStream` cuts them."""
    stream = ClauseStream()
    return [*stream.push(text), *stream.flush()]


def sentences(text: str) -> list[str]:
    """The sentences of a text; a blank line ends one too."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        start = 0
        for border in _BORDER.finditer(paragraph):
            if _ends_sentence(paragraph, border):
                found.append(paragraph[start : border.end(2)])
                start = border.end()
        found.append(paragraph[start:])
    return [sentence.strip() for sentence in found if sentence.strip()]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where each of the `sentences` of a text starts and ends, in characters."""
    spans: list[tuple[int, int]] = []
    end = 0
    for sentence in sentences(text):
        start = text.index(sentence, end)
        end = start + len(sentence)
        spans.append((start, end))
    return spans


def _ends_sentence(text: str, border: re.Match[str]) -> bool:
    mark, following = border[1], text[border.end()]
    if mark in ",;:—–" or following.islower():
        return False
    if mark != ".":
        return True
    words = text[max(0, border.start() - 40) : border.start()].rsplit(maxsplit=1)
    word = words[-1].lstrip("(\"'“‘").casefold() if words else ""
    if word in ("no", "nos") and following.isdigit():
        return False
    if _ABBREVIATION.fullmatch(word) and word not in _ENDING_ABBREVIATIONS:
        return False
    if word in ("a.m", "p.m"):
        return following.isupper()
    is_initial = len(word) == 1 and word.isalpha() and word != "i"
    return not is_initial and not _DOTTED.fullmatch(word)
