"""A reply's written text to the words that are to be said: numbers, money, dates, times, codes, units, addresses.

What is left holds no digit and no sign that a voice could stumble over; marks that carry intonation stay. American
English: month before day, "two dollars and fifty cents", no "and" after hundreds.
"""

import re
from collections.abc import Callable

from rejoinder.text import CURRENCIES, UNITS, money_to_words, number_to_words, plural_unit

_MONTHS = (
    ("January", "Jan"),
    ("February", "Feb"),
    ("March", "Mar"),
    ("April", "Apr"),
    ("May", "May"),
    ("June", "Jun"),
    ("July", "Jul"),
    ("August", "Aug"),
    ("September", "Sept?"),
    ("October", "Oct"),
    ("November", "Nov"),
    ("December", "Dec"),
)
_WEEKDAYS = {
    "Mon": "Monday",
    "Tues?": "Tuesday",
    "Wed": "Wednesday",
    "Thu(?:rs?)?": "Thursday",
    "Fri": "Friday",
    "Sat": "Saturday",
    "Sun": "Sunday",
}
_ABBREVIATIONS = {
    r"Mr\.": "Mister",
    r"Mrs\.": "Missus",
    r"Ms\.": "Miz",
    r"Dr\.(?= [A-Z])": "Doctor",
    r"Prof\.": "Professor",
    r"St\.(?= [A-Z])": "Saint",
    r"(?<=[a-z] )Dr\.": "Drive",
    r"(?<=[a-z] )St\.": "Street",
    r"Ave\.": "Avenue",
    r"Blvd\.": "Boulevard",
    r"Rd\.": "Road",
    r"Apt\.": "Apartment",
    r"Ste\.": "Suite",
    r"Dept\.": "Department",
    r"Jr\.": "Junior",
    r"Sr\.": "Senior",
    r"Inc\.": "Incorporated",
    r"Corp\.": "Corporation",
    r"Ltd\.": "Limited",
    r"Co\.": "Company",
    r"[Ee]xt\.": "extension",
    r"[Aa]pprox\.": "approximately",
    r"e\.g\.,?": "for example,",
    r"i\.e\.,?": "that is,",
    r"etc\.": "et cetera",
    r"vs\.?": "versus",
    r"w/o\b": "without",
    r"w/(?= ?\w)": "with ",
    **{rf"{short}\.": long for long, short in _MONTHS if long != "May"},
    **{rf"{short}\.": long for short, long in _WEEKDAYS.items()},
}
_UNITS = {
    **UNITS,
    **{"g": "gram", "l": "liter", "L": "liter", "mL": "milliliter", "m": "meter", "µg": "microgram", "yd": "yard"},
    **{"GB": "gigabyte", "MB": "megabyte", "KB": "kilobyte", "TB": "terabyte", "Mbps": "megabit per second"},
    **{"Gbps": "gigabit per second", "kWh": "kilowatt hour", "kW": "kilowatt", "W": "watt", "V": "volt", "Hz": "hertz"},
    **{"GHz": "gigahertz", "MHz": "megahertz", "kHz": "kilohertz", "ms": "millisecond", "yr": "year", "yrs": "year"},
}
_NOT_MEASURED = (
    "a an and are as at away because before but by can cost costs daily each every for from has have if in into is "
    "less may more of on once or per so than that the then to twice until was when will with within you your"
)
_ADVERBS = frozenset(_NOT_MEASURED.split())
"""Words after an amount that it does not describe: "five milligrams daily", but "a five milligram tablet"."""

_NUM = r"[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?"
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_MONTH = "|".join(f"{long}|{short}" for long, short in _MONTHS)
_SCALE = "hundred|thousand|million|billion|trillion"
_FRACTIONS = {
    "1/2": "one half",
    "1/3": "one third",
    "2/3": "two thirds",
    "1/4": "one quarter",
    "3/4": "three quarters",
    "24/7": "twenty four seven",
}
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4"}
_SIGNS = {
    "%": "percent",
    "&": "and",
    "+": "plus",
    "=": "equals",
    "@": "at",
    "°": "degrees",
    "~": "about ",
    "×": "times",
}
_LETTERS = {"a": "eigh"}
"""Letters whose name has to be written out: "A" alone would be read as the article, "ay" as "eye"."""
LONGEST_CODE = 6
"""Characters of a code that are said in one breath; longer ones get a pause after every fourth."""
_IN_ADDRESSES = {".": " dot ", "@": " at ", "/": " slash ", "-": " dash ", "_": " underscore ", ":": " colon "}


def verbalize(text: str) -> str:
    """Write out everything in `text` that is not a word, as it should be heard.

    "$2.50" -> "two dollars and fifty cents"; "2026-11-30" -> "November thirtieth, twenty twenty six"; "14:30" ->
    "two thirty P M"; "555-1234" -> "five five five, one two three four"; "GMEF39" -> "G M E F three nine"; "20 oz" ->
    "twenty ounces". Space at both ends stays, so that pieces of a text can be written out one by one.
    """
    words = text.strip()
    for pattern, say in _RULES:
        words = pattern.sub(say, words)
    words = re.sub(r" {2,}", " ", words).strip()
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{before}{words}{after}" if words else before


def _address(match: re.Match[str]) -> str:
    address = re.sub(r"^(?:https?://)?(?:www\.)?", "", match[0]).rstrip("/")
    said = "".join(
        _IN_ADDRESSES.get(char, f" {number_to_words(char)} " if char.isdecimal() else char) for char in address
    )
    return " ".join(said.split())


def _iso_date(match: re.Match[str]) -> str:
    return _date(int(match[2]), int(match[3]), match[1]) or match[0]


def _us_date(match: re.Match[str]) -> str:
    if match[0] in _FRACTIONS:
        return _FRACTIONS[match[0]]
    return _date(int(match[1]), int(match[2]), match[3]) or f"{match[1]} over {match[2]}"


def _month_day(match: re.Match[str]) -> str:
    return _date(_month_number(match[1]), int(match[2]), None) or match[0]


def _day_month(match: re.Match[str]) -> str:
    return _date(_month_number(match[2]), int(match[1]), None) or match[0]


def _month_number(name: str) -> int:
    return next(number for number, (long, _) in enumerate(_MONTHS, start=1) if long[:3] == name[:3])


def _date(month: int, day: int, year: str | None) -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    said = f"{_MONTHS[month - 1][0]} {number_to_words(day, 'ordinal')}"
    if not year:
        return said
    return f"{said}, {number_to_words(year if len(year) == 4 else f'20{year}', 'year')}"


def _time(match: re.Match[str]) -> str:
    hours, minutes, half = int(match[1]), match[2] or "00", (match[3] or "").lower()
    if hours > 24 or int(minutes) > 59:
        return match[0]
    if not half and (hours > 12 or hours == 0):
        half = "p" if 12 <= hours < 24 else "a"
    said = number_to_words((hours - 1) % 12 + 1)
    if minutes != "00":
        said += f" {'oh ' if minutes[0] == '0' else ''}{number_to_words(int(minutes))}"
    elif not half:
        said += " o'clock"
    ends = "." if match[0].endswith(".") and not match.string[match.end() :].strip() else ""
    return f"{said} {_letter(half)} M{ends}" if half else said


def _phone(match: re.Match[str]) -> str:
    groups = re.findall(r"[0-9]+", match[0])
    plus = "plus " if match[0].startswith("+") else ""
    return plus + ", ".join(number_to_words(group, "digits") for group in groups)


def _money(match: re.Match[str]) -> str:
    minus, sign, amount, scale = match.group(1, 2, 3, 4)
    whole, _, parts = amount.partition(".")
    if scale or len(parts) > 2:
        said = " ".join(filter(None, [number_to_words(amount), scale, CURRENCIES[sign][1]]))
    else:
        said = money_to_words(sign, whole, parts.ljust(2, "0"))
    return f"minus {said}" if minus else said


def _measure(match: re.Match[str]) -> str:
    amount, joint, unit, per = match.group(1, 2, 3, 4)
    following = re.match(r" ([a-z]+)", match.string[match.end() :])
    describes = "-" in joint or (following is not None and following[1] not in _ADVERBS)
    said = _UNITS[unit] if describes or amount == "1" else plural_unit(_UNITS[unit])
    return f"{_number(amount)} {said}" + (f" per {_UNITS[per]}" if per else "")


def _degrees(match: re.Match[str]) -> str:
    scale = {"C": " Celsius", "F": " Fahrenheit", None: ""}[match[2]]
    return f"{match[1]} degree{'' if match[1] == '1' else 's'}{scale}"


def _code(match: re.Match[str]) -> str:
    """Letters one by one and digits one by one; "B12" and the like, as people say it, with a number."""
    code = match[0]
    if re.fullmatch(r"[A-Z][1-9][0-9]", code):
        return f"{_letter(code[0])} {number_to_words(code[1:])}"
    said: list[str] = []
    for run in re.findall(r"[0-9]|[A-Za-z]+", code):
        is_word = len(run) > 2 and not run.isupper()
        said += [run] if is_word else [number_to_words(char) if char.isdecimal() else _letter(char) for char in run]
    if len(said) <= LONGEST_CODE:
        return " ".join(said)
    return ", ".join(" ".join(said[start : start + 4]) for start in range(0, len(said), 4))


def _letter(letter: str) -> str:
    return _LETTERS.get(letter.lower(), letter.upper())


def _decade(match: re.Match[str]) -> str:
    said = number_to_words(match[1], "year" if len(match[1]) == 4 else "cardinal")
    return re.sub("y$", "ies", said) if said.endswith("y") else f"{said}s"


def _number(written: str) -> str:
    if "," in written or "." in written:
        return number_to_words(written)
    if len(written) > 4 or (written[0] == "0" and len(written) > 1):
        step = len(written) if len(written) < 6 else 3
        groups = [written[start : start + step] for start in range(0, len(written), step)]
        return ", ".join(number_to_words(group, "digits") for group in groups)
    return number_to_words(written, "year" if len(written) == 4 else "cardinal")


_PATTERNS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"\[([^\[\]]*)\]\([^()]*\)", r"\1"),  # Markdown links
    (r"[*`\[\]{}<>|\\^]|(?m:^#+ )", ""),
    (r"’", "'"),
    (r"\b(?:https?://|www\.)[^\s,;]+[^\s,;.!?)]|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+", _address),
    (r"\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|io|co\.uk|uk|de)\b(?:/[\w/-]+)?", _address),
    *((rf"(?<![\w.]){short}", long) for short, long in _ABBREVIATIONS.items()),
    (r"(?<=[0-9])\s?([½⅓⅔¼¾])", lambda match: f" and {_FRACTIONS[_VULGAR[match[1]]]}"),
    ("[½⅓⅔¼¾]", lambda match: _FRACTIONS[_VULGAR[match[0]]]),
    (r"\b([0-9]{4})-([0-9]{2})-([0-9]{2})\b", _iso_date),
    (r"(?<![\w/.])([0-9]{1,2})/([0-9]{1,2})(?:/([0-9]{4}|[0-9]{2}))?(?![\w/])", _us_date),
    (rf"\b({_MONTH}) ([0-9]{{1,2}})(?:st|nd|rd|th)?(?![\w:%])", _month_day),
    (rf"\b(?:the )?([0-9]{{1,2}})(?:st|nd|rd|th)? (?:of )?({_MONTH})\b", _day_month),
    (r"(?<=[0-9apm.])\s?[-–]\s?(?=[0-9]{1,2}(?::[0-9]{2}\b|\s?[AaPp]\.?[Mm]\b))", " to "),
    (r"\b([0-9]{1,2})(?::([0-9]{2}))?\s?([AaPp])(?:\.[Mm]\.|[Mm]\b)", _time),
    (r"\b([0-9]{1,2}):([0-9]{2})\b()", _time),
    (r"(?<![\w.-])(?:\+?1[ .-])?(?:\([0-9]{3}\) ?|[0-9]{3}[ .-])?[0-9]{3}[.-][0-9]{4}(?![\w-])", _phone),
    (r"(?<!\w)\+[0-9]{1,3}(?:[ -][0-9]{2,5}){2,4}", _phone),
    (r"\b(?:[A-Za-z0-9]-){2,}[A-Za-z0-9]\b", _code),
    (rf"(?<=[0-9])\s?[-–]\s?(?=[$€£]?{_NUM}(?![\w-]))", " to "),
    (rf"(-?)([$€£])\s?({_NUM})(?:\s?({_SCALE})\b)?", _money),
    (rf"({_NUM})\s?¢", lambda match: money_to_words("$", "0", match[1].zfill(2))),
    (r"""\b([0-9])' ?([0-9]{1,2})(?:"|\b)""", r"\1 foot \2"),
    (rf"({_NUM})\s?°\s?([CF])?(?!\w)", _degrees),
    (rf"(?<![\w.])({_NUM})(\s?|-)({_UNIT})(?:/({_UNIT}))?(?!\w)", _measure),
    (r"\b([0-9]+)(?:st|nd|rd|th)\b", lambda match: number_to_words(match[1], "ordinal")),
    (r"\b((?:[0-9]{2})?[0-9]0)'?s\b", _decade),
    (r"\bNos?\. ?(?=[0-9])|#\s?(?=[0-9])", "number "),
    (r"\b(?=[A-Z-]*[0-9])(?=[0-9-]*[A-Z])[A-Z0-9]+(?:-[A-Z0-9]+)*\b", _code),
    (r"\b(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]+\b", _code),
    (r"(?<![\w.])-(?=[0-9])", "minus "),
    (_NUM, lambda match: f" {_number(match[0])} "),
    (r"[0-9]", lambda match: f" {number_to_words(match[0])} "),
    (r"\band/or\b", "and or"),
    (r"(?<=\w)\s?/\s?(?=\w)", " or "),
    (f"[{''.join(_SIGNS)}]", lambda match: f" {_SIGNS[match[0]]} "),
    (r"[_#/$€£]|(?<=\s)[-–](?=\s)", " "),
    (r" +(?=[,.;:!?)])", ""),
)
_RULES = tuple((re.compile(pattern), say) for pattern, say in _PATTERNS)
