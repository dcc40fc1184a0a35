r"""Reply templates: `That's a {size} {drink}[ with {milk}][ for {price}].`

`{slot}` stands for a value. A part in brackets vanishes when a value directly inside it is missing, or when it holds
only parts that vanished; parts may nest. A backslash keeps `[`, `]`, `{`, `}` or itself literal. The words "a" and
"an" right before a value or a part agree with what follows, spaces and punctuation around what vanished are tidied,
and the first word gets its capital.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TypeAlias

from rejoinder.domain import SlotKind
from rejoinder.errors import DomainError


@dataclass(frozen=True, slots=True)
class _Value:
    name: str


@dataclass(frozen=True, slots=True)
class _Part:
    pieces: "tuple[_Piece, ...]"


_Piece: TypeAlias = str | _Value | _Part

_NAME = re.compile(r"[A-Za-z_][\w-]*")
_ARTICLE = re.compile(r"(?:^|(?<=[\s(\"'“]))(a|an)\s+$", re.IGNORECASE)
_OWN_ARTICLE = re.compile(r"(?:a|an|the|some|no)\s", re.IGNORECASE)
_VOWEL_SOUND = re.compile(
    r"(?:hour|honest|heir|honou?r)"
    r"|[$€£]?(?:8|1[18](?!\d))"  # eight…, eleven, eighteen
    r"|(?!(?:one|once)\b|uni(?!n|m)|u(?:s[eiu]|t[ei]|[bk]i)|eu)[aeiou]",
    re.IGNORECASE,
)
_INITIALISM = re.compile(r"[A-Z](?:[A-Z]+|\b)")
_VOWEL_LETTERS = frozenset("AEFHILMNORSX")
_SENTENCE_END = re.compile(r"[^\s.][^\s.][.!?]\s+$")


def render(template: str, values: Mapping[str, str]) -> str:
    """The sentence that `template` makes of `values`; an empty value counts as missing.

    A missing value outside brackets leaves a gap (see `needs`). Raises `DomainError` where the template is malformed.
    """
    sentence = ""
    article_open = False
    for text, is_value in _fill(_parse(template), values):
        if article_open and text.strip():
            sentence = _agree(sentence, text)
        if is_value and _SENTENCE_END.search(sentence):
            text = _capitalized(text)
        sentence += text
        article_open = (article_open and not text.strip()) or (not is_value and _ARTICLE.search(sentence) is not None)
    return _capitalized(_tidy(sentence))


def names(template: str) -> frozenset[str]:
    """Every slot that the template mentions; raises `DomainError` where it is malformed."""
    return frozenset(_names(_parse(template), inside_parts=True))


def needs(template: str) -> frozenset[str]:
    """The slots outside all brackets: without a value for each of them the sentence has a gap."""
    return frozenset(_names(_parse(template), inside_parts=False))


def spoken_value(value: str, kind: SlotKind) -> str:
    """A canonical value as it stands in a sentence: "2.50" -> "$2.50", "5551234567" -> "555-123-4567".

    Anything that is not in its kind's canonical form stays as it is.
    """
    match kind:
        case SlotKind.MONEY if re.fullmatch(r"\d+(\.\d{1,2})?", value):
            return f"${float(value):,.2f}".removesuffix(".00")
        case SlotKind.PHONE if re.fullmatch(r"(1?\d{3})?\d{7}", value):
            return "-".join(filter(None, (value[:-10], value[-10:-7], value[-7:-4], value[-4:])))
        case SlotKind.CODE:
            return value.upper()
        case SlotKind.DATE if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            with suppress(ValueError):  # with the year, for nothing here knows what day it is
                day = date.fromisoformat(value)
                return f"{day:%B} {day.day}, {day.year}"
            return value
        case SlotKind.TIME if re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
            hour, minute = int(value[:2]), value[3:]
            return f"{(hour - 1) % 12 + 1}:{minute} {'AM' if hour < 12 else 'PM'}"
        case _:
            return value


def _names(pieces: tuple[_Piece, ...], *, inside_parts: bool) -> Iterator[str]:
    for piece in pieces:
        if isinstance(piece, _Value):
            yield piece.name
        elif isinstance(piece, _Part) and inside_parts:
            yield from _names(piece.pieces, inside_parts=True)


def _fill(pieces: tuple[_Piece, ...], values: Mapping[str, str]) -> Iterator[tuple[str, bool]]:
    """The pieces as text, each with whether it is a value."""
    for piece in pieces:
        if isinstance(piece, str):
            yield piece, False
        elif isinstance(piece, _Value):
            yield values.get(piece.name, ""), True
        elif _stays(piece, values):
            yield from _fill(piece.pieces, values)


def _stays(part: _Part, values: Mapping[str, str]) -> bool:
    own = [piece.name for piece in part.pieces if isinstance(piece, _Value)]
    if own:
        return all(values.get(name) for name in own)
    return any(_stays(piece, values) for piece in part.pieces if isinstance(piece, _Part))


@lru_cache(maxsize=4096)
def _parse(template: str) -> tuple[_Piece, ...]:
    """The template as pieces; a stack holds the parts that are still open, each with the column of its bracket."""
    open_parts: list[tuple[int, list[_Piece]]] = []
    pieces: list[_Piece] = []
    at = 0
    while at < len(template):
        char = template[at]
        if char == "\\":
            if template[at + 1 : at + 2] not in tuple("[]{}\\"):
                raise _error(template, at, r"a backslash must stand before [ ] { } or another backslash")
            _add_text(pieces, template[at + 1])
            at += 2
        elif char == "{":
            name = _NAME.match(template, at + 1)
            if name is None or template[name.end() : name.end() + 1] != "}":
                raise _error(template, at, r"'{' must be followed by a slot's name and '}'; write \{ for a brace")
            pieces.append(_Value(name.group()))
            at = name.end() + 1
        elif char == "[":
            open_parts.append((at, pieces))
            pieces = []
            at += 1
        elif char == "]" and open_parts:
            column, outer = open_parts.pop()
            if all(isinstance(piece, str) for piece in pieces):
                raise _error(template, column, r"the part in brackets has no {slot}; write \[ and \] for brackets")
            outer.append(_Part(tuple(pieces)))
            pieces = outer
            at += 1
        elif char in "]}":
            raise _error(template, at, rf"'{char}' was never opened; write \{char} for the character itself")
        else:
            _add_text(pieces, char)
            at += 1
    if open_parts:
        raise _error(template, open_parts[-1][0], r"'[' is never closed; write \[ for the character itself")
    return tuple(pieces)


def _add_text(pieces: list[_Piece], text: str) -> None:
    if pieces and isinstance(pieces[-1], str):
        pieces[-1] += text
    else:
        pieces.append(text)


def _error(template: str, at: int, what: str) -> DomainError:
    return DomainError(f"column {at + 1} of the template {template!r}: {what}")


def _agree(sentence: str, following: str) -> str:
    """`sentence`, which ends in "a" or "an", with the article that suits `following`."""
    following = following.lstrip()
    article = _ARTICLE.search(sentence)
    if article is None:
        return sentence
    before = sentence[: article.start(1)]
    if _OWN_ARTICLE.match(following):
        return before
    if _INITIALISM.match(following):
        vowel = following[0] in _VOWEL_LETTERS
    else:
        vowel = _VOWEL_SOUND.match(following) is not None
    return f"{before}{article.group(1)[0]}{'n' if vowel else ''} "


def _tidy(sentence: str) -> str:
    """One space between words, none before punctuation, and no comma or second full stop left over from a gap."""
    sentence = re.sub(r"\s+", " ", sentence).strip()
    sentence = re.sub(r" (?=[,.;:!?](?:[\s,.;:!?]|$))", "", sentence)
    sentence = re.sub(r"[,;:](?:\s*[,;:])*(?=\s*[,;:.!?](?:\s|$))\s*", "", sentence)
    sentence = re.sub(r"(?<!\.)\.\.(?!\.)", ".", sentence)
    return re.sub(r"^[,;:.!?]\s+", "", sentence)


def _capitalized(sentence: str) -> str:
    """With a first capital, unless the first word carries capitals of its own ("iPhone")."""
    word = sentence.split(" ", 1)[0]
    return sentence[:1].upper() + sentence[1:] if word == word.lower() else sentence
