"""Personal data out of what is written down: typed placeholders such as `[card]` in place of what was said.

It works on a recognizer's text, so numbers may be digits or words ("four one one one…"), and names have no capitals to
rely on. It would rather take too much than too little, and it still misses some: a name that nothing introduces, an
address without a kind of street. docs/privacy.md says what to make of that.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rejoinder.domain import Domain, SlotKind
from rejoinder.nlu.numerals import digit_run
from rejoinder.nlu.slots import FUNCTION_WORDS
from rejoinder.text import normalize

CARD, PHONE, NUMBER, EMAIL, ADDRESS, DATE, NAME = (
    *("[card]", "[phone]", "[number]", "[email]"),
    *("[address]", "[date]", "[name]"),
)

LONG_NUMBER = 7
"""Digits from which on a number is taken for somebody's: a phone number without its area code has as many."""

SECRET_NUMBER = 3
"""Digits from which on it is, where the words before it say so ("my PIN is"), or where a turn is nothing else."""

CARD_LENGTHS = range(13, 20)

MOST_PAUSES = 2
"""Words such as "um" or "dash" in a row that a number goes on after."""

_LONGEST_NAME = 3  # words
_LONGEST_ADDRESS = 6  # words before the kind of street

_TOKEN = re.compile(r"\d+|[^\W\d_]+(?:['’][^\W\d_]+)?")
_BETWEEN_DIGITS = re.compile(r"[\s\-–—_.,()/+*#]*")
_PAUSES = frozenset("um uh er erm and then dash hyphen space dot point comma plus slash okay so".split())

_SECRET = re.compile(
    r"\b(?:pin|passcode|password|security|code|cvv|cvc|zip|postal|postcode|account|social|ssn|insurance|member|"
    r"card|passport|licen[cs]e|ending|digits|birth)\b",
    re.IGNORECASE,
)
_SECRET_REACH = 40  # characters before a number in which such a word says that it is secret

_EMAIL = re.compile(
    r"[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)+"
    r"|(?:\b\w+\s+(?:dot|underscore|dash|hyphen)\s+)*(?:\b\w\s+)*\b\w+\s+at\s+\w+(?:\s+dot\s+\w+)+",
    re.IGNORECASE,
)
_MONTHS = "january february march april may june july august september october november december".split()
_WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday today tomorrow yesterday".split()
_NUMBER_WORDS = frozenset(
    "oh zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand".split()
)
_ORDINAL = re.compile(r"\w*(?:first|second|third|[fhnxt]th|tieth|\dst|\dnd|\drd|\dth)|st|nd|rd|th", re.IGNORECASE)
_BORN = re.compile(r"\b(?:date of birth|birth\s?day|birth\s?date|d\.?o\.?b\b\.?|born)\b", re.IGNORECASE)
_LEADS_TO_DATE = frozenset("is was it's on in the of and my a s".split())
_WRITTEN_DATE = re.compile(r"\b(?:\d{1,2}[/.\-]\d{1,2}[/.\-]\d{2,4}|\d{4}-\d{2}-\d{2})\b")
_JOINS = ("of", "the", "and")
_YEAR = re.compile(r"\b(?:(?:19|20)\d\d|nineteen|thousand|twenty (?:oh|ten|eleven|twelve|\w+teen|\w+ty))\b")

_LIVES = re.compile(
    r"\b(?:(?:my|our|the)\s+(?:\w+\s+)?address\s+is|address'?s|(?:i|we)\s+live\s+(?:at|on)|living\s+at)\s+([^.?!]+)",
    re.IGNORECASE,
)
_STREETS = frozenset(
    "street st avenue ave road rd lane ln drive dr boulevard blvd court ct place pl terrace way highway parkway "
    "crescent close square alley".split()
)

_NAMED = re.compile(
    r"\b(?:(?:my|first|last|middle|full|family|given|the)\s+name\s+(?:is|was)|(?:my|first|last|full)\s+name['’]s|name['’]s|"
    r"surname(?:\s+is)?|(?:under|in)\s+the\s+name(?:\s+of)?|spell(?:ed|t)?(?:\s+(?:it|that|as))*)[\s,:]+",
    re.IGNORECASE,
)
_PRESENTED = re.compile(r"\b(?:this\s+is|i['’]m|i\s+am|it['’]s|call\s+me)\s+(?=[A-Z])", re.IGNORECASE)
_SPEAKING = re.compile(r"^\W*(\w+(?:\s+\w+)?)\s+(?:speaking|here)\b", re.IGNORECASE)
_NO_NAME = (
    FUNCTION_WORDS
    | _NUMBER_WORDS
    | frozenset(_MONTHS + _WEEKDAYS)
    | frozenset(
        "i i'm i'd i'll can could would like want need please thanks thank calling phoning hi hello yes no".split()
    )
    | frozenset("looking trying going not just speaking here over right good fine sorry sure correct wrong".split())
)

_PRIVATE_SLOT = re.compile(
    r"name|surname|person|patient|customer|caller|e_?mail|phone|mobile|address|street|birth|dob|card_?number|"
    r"credit|account|ssn|passport|pin$|password",
    re.IGNORECASE,
)
_OF_SLOT = (
    (re.compile(r"mail", re.IGNORECASE), EMAIL),
    (re.compile(r"phone|mobile", re.IGNORECASE), PHONE),
    (re.compile(r"address|street", re.IGNORECASE), ADDRESS),
    (re.compile(r"birth|dob", re.IGNORECASE), DATE),
    (re.compile(r"card|credit", re.IGNORECASE), CARD),
    (re.compile(r"account|ssn|passport|pin$|password", re.IGNORECASE), NUMBER),
)


@dataclass(frozen=True, slots=True)
class _Token:
    start: int
    end: int
    word: str
    """In lower case."""


@dataclass(frozen=True, slots=True)
class _Found:
    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Redactor:
    """Redacts for one domain. Its products are no people's names, and its slots may hold personal data."""

    known: frozenset[str] = frozenset()
    """The domain's own words in lower case, which are never a name."""
    private: Mapping[str, str] = field(default_factory=dict)
    """The slots whose values are personal, by their kind or their name, and the placeholder of each."""

    @classmethod
    def of(cls, domain: Domain) -> "Redactor":
        """A slot is private when it is a phone number, or its name says so ("last_name", "date_of_birth")."""
        private = {
            name: _placeholder(name, slot.kind)
            for name, slot in domain.slots.items()
            if slot.kind is SlotKind.PHONE or _PRIVATE_SLOT.search(name)
        }
        forms = [term.written for term in domain.terms]
        for name, slot in domain.slots.items():
            if name not in private:
                forms += [form for choice in slot.choices for form in choice.forms]
        return cls(frozenset(word for form in forms for word in form.lower().split()), private)

    def text(self, text: str, slots: Mapping[str, str] | None = None) -> str:
        """The text without personal data; `slots` are what was understood of it, whose private values go as well."""
        tokens = [_Token(match.start(), match.end(), match[0].lower()) for match in _TOKEN.finditer(text)]
        found = [
            *_emails(text),
            *_dates(text, tokens),
            *_addresses(text, tokens),
            *_numbers(text, tokens),
            *self._names(text, tokens),
            *self._values(text, slots or {}),
        ]
        return _replaced(text, found)

    def slots(self, slots: Mapping[str, str]) -> dict[str, str]:
        """The slots with a placeholder for each private value."""
        return {name: self.private.get(name) or _redacted_value(value) for name, value in slots.items()}

    def _names(self, text: str, tokens: Sequence[_Token]) -> Iterator[_Found]:
        """People's names, where something introduces them."""
        for cue in _NAMED.finditer(text):
            yield from self._name(tokens, cue.end(), lambda _: True)
        for cue in _PRESENTED.finditer(text):
            yield from self._name(tokens, cue.end(), lambda token: text[token.start].isupper())
        if match := _SPEAKING.match(text):
            yield from self._name(tokens, match.start(1), lambda token: token.end <= match.end(1))

    def _name(self, tokens: Sequence[_Token], start: int, fits: Callable[[_Token], bool]) -> Iterator[_Found]:
        taken: list[_Token] = []
        n_words = 0
        for token in (token for token in tokens if token.start >= start):
            is_letter = len(token.word) == 1 and token.word.isalpha()
            if not is_letter and (token.word in _NO_NAME or token.word in self.known or token.word.isdigit()):
                break
            n_words += not is_letter
            if n_words > _LONGEST_NAME or not fits(token):
                break
            taken.append(token)
        if taken and not (len(taken) == 1 and len(taken[0].word) == 1):
            yield _Found(taken[0].start, taken[-1].end, NAME)

    def _values(self, text: str, slots: Mapping[str, str]) -> Iterator[_Found]:
        """The values of private slots, where they stand in the text as they are written."""
        for name, kind in self.private.items():
            value = slots.get(name, "").strip()
            if value:
                for match in re.finditer(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE):
                    yield _Found(match.start(), match.end(), kind)


def _emails(text: str) -> Iterator[_Found]:
    for match in _EMAIL.finditer(text):
        yield _Found(match.start(), match.end(), EMAIL)


def _numbers(text: str, tokens: Sequence[_Token]) -> Iterator[_Found]:
    """Numbers that are too long to be a quantity, and shorter ones that are secret."""
    words = [token.word for token in tokens]
    at = 0
    while at < len(tokens):
        digits, end = _digits(text, tokens, words, at)
        if end == at:
            at += 1
            continue
        start, at = at, end
        before = text[max(0, tokens[start].start - _SECRET_REACH) : tokens[start].start]
        alone = all(token.word in _PAUSES for token in (*tokens[:start], *tokens[end:]))
        is_secret = len(digits) >= SECRET_NUMBER and (alone or _SECRET.search(before))
        if len(digits) >= LONG_NUMBER or is_secret:
            yield _Found(tokens[start].start, tokens[end - 1].end, _kind_of(digits))


def _digits(text: str, tokens: Sequence[_Token], words: Sequence[str], at: int) -> tuple[str, int]:
    """The digits that are said from a token on, written or spoken, and the token behind them."""
    digits, end = "", at
    while at < len(words):
        goes_on = not digits or _BETWEEN_DIGITS.fullmatch(text, tokens[at - 1].end, tokens[at].start)
        if not goes_on or at - end > MOST_PAUSES:
            break
        if words[at].isdecimal():
            more, behind = words[at], at + 1
        else:
            more, behind = digit_run(words, at)
        if more:
            digits, at, end = digits + more, behind, behind
        elif digits and words[at] in _PAUSES:
            at += 1
        else:
            break
    return digits, end


def _kind_of(digits: str) -> str:
    if len(digits) in CARD_LENGTHS and is_luhn(digits):
        return CARD
    return PHONE if LONG_NUMBER <= len(digits) < CARD_LENGTHS.start else NUMBER


def is_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of payment cards (ISO/IEC 7812-1)."""
    doubled = (int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(digits)))
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0


def _dates(text: str, tokens: Sequence[_Token]) -> Iterator[_Found]:
    """Dates that say when somebody was born, and any date with a year."""
    for match in _WRITTEN_DATE.finditer(text):
        yield _Found(match.start(), match.end(), DATE)
    for cue in _BORN.finditer(text):
        following = [token for token in tokens if token.start >= cue.end()]
        n_lead = 0
        while n_lead < len(following) and following[n_lead].word in _LEADS_TO_DATE:
            n_lead += 1
        if taken := _date_words(following[n_lead:]):
            yield _Found(taken[0].start, taken[-1].end, DATE)
    for at, token in enumerate(tokens):
        if token.word in _MONTHS:
            first = at
            while first and _is_date_word(tokens[first - 1].word):
                first -= 1
            while tokens[first].word in _JOINS:
                first += 1
            taken = _date_words(tokens[first:])
            after = taken[at - first + 1 :]
            if _YEAR.search(" ".join(one.word for one in after)) and (first < at or len(after) > 1):
                yield _Found(taken[0].start, taken[-1].end, DATE)


def _date_words(tokens: Sequence[_Token]) -> list[_Token]:
    taken: list[_Token] = []
    for token in tokens:
        if not _is_date_word(token.word):
            break
        taken.append(token)
    while taken and taken[-1].word in _JOINS:
        taken.pop()
    return taken


def _is_date_word(word: str) -> bool:
    return (
        word.isdecimal()
        or word in _NUMBER_WORDS
        or word in _MONTHS
        or word in _JOINS
        or _ORDINAL.fullmatch(word) is not None
    )


def _addresses(text: str, tokens: Sequence[_Token]) -> Iterator[_Found]:
    for match in _LIVES.finditer(text):
        yield _Found(match.start(1), match.end(1), ADDRESS)
    for at, token in enumerate(tokens):
        if token.word not in _STREETS or not at or tokens[at - 1].end == token.start:  # "3rd" is no road
            continue
        first = at
        while first and at - first < _LONGEST_ADDRESS and _is_of_address(tokens[first - 1].word):
            first -= 1
        number = next((one for one in tokens[first:at] if one.word.isdecimal() or one.word in _NUMBER_WORDS), None)
        if number is not None:
            yield _Found(number.start, token.end, ADDRESS)


def _is_of_address(word: str) -> bool:
    return word in _NUMBER_WORDS or word not in FUNCTION_WORDS


def _redacted_value(value: str) -> str:
    """A value of a slot that is not private in itself, but may be too long a number for one that is harmless."""
    digits = re.sub(r"\D", "", value)
    return _kind_of(digits) if len(digits) > LONG_NUMBER and not _WRITTEN_DATE.fullmatch(value) else value


def _placeholder(name: str, kind: SlotKind) -> str:
    if kind is SlotKind.PHONE:
        return PHONE
    return next((placeholder for pattern, placeholder in _OF_SLOT if pattern.search(name)), NAME)


def _replaced(text: str, found: Sequence[_Found]) -> str:
    """The text with a placeholder in place of each stretch; where they overlap, the one that begins first names it."""
    pieces: list[str] = []
    at = 0
    for one in sorted(found, key=lambda one: (one.start, -one.end)):
        if one.start >= at:
            pieces += [text[at : one.start], one.kind]
        elif one.end <= at:
            continue
        at = one.end
    return "".join([*pieces, text[at:]])


def has_placeholder(text: str) -> bool:
    """Whether something was taken out of the text."""
    return any(kind in text for kind in (CARD, PHONE, NUMBER, EMAIL, ADDRESS, DATE, NAME))


def without_placeholders(text: str) -> str:
    """The words of a redacted text, to learn from."""
    for kind in (CARD, PHONE, NUMBER, EMAIL, ADDRESS, DATE, NAME):
        text = text.replace(kind, " ")
    return normalize(text)
