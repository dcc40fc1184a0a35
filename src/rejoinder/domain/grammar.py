"""Utterance patterns in hassil's grammar: `[optional] (a|b) {slot}`, and `(first;second)` for any order.

A pattern stands for a great many sentences (an order at the cafe for millions), so nothing here lists them all unasked:
`sentences` is lazy, and `sample` walks the grammar at random, values that have not had their turn first.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, permutations
from typing import TYPE_CHECKING

from rejoinder.domain import Slot
from rejoinder.domain.spoken_values import SpokenValue, spoken_value
from rejoinder.errors import DomainError

if TYPE_CHECKING:
    from hassil.expression import Alternative, Expression

CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}

MARKS = re.compile(r"[()\[\]{}<>|;\\]")
"""What makes a text a pattern: without any of these, it stands for itself."""

N_OPEN_VALUES = 3
"""How many values `sentences` gives to a slot of an open kind, which has no end of them."""

TRIES = 20
"""How many sentences are drawn for each one asked for, before a pattern counts as exhausted."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A slot's canonical `value` in a sentence, spoken in its characters `start` to `end` (exclusive)."""

    slot: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """A sentence of a pattern, with the slots in it."""

    text: str
    tags: tuple[Tag, ...] = ()

    @property
    def slots(self) -> dict[str, str]:
        """The canonical values by slot."""
        return {tag.slot: tag.value for tag in self.tags}


@lru_cache(maxsize=4096)
def parse(pattern: str) -> "Expression":
    """The tree of a pattern; raises `DomainError` saying what is wrong with it."""
    from hassil.parse_expression import parse_sentence
    from hassil.parser import ParseError

    _check_brackets(pattern)
    try:
        return parse_sentence(pattern).expression
    except (ParseError, AssertionError) as error:
        raise DomainError(f"the pattern '{pattern}' cannot be read: {error}") from None


def slot_names(pattern: str) -> list[str]:
    """The slots that a pattern names, in order of appearance, each once."""
    return list(_names(parse(pattern)))


def sentences(pattern: str, slots: Mapping[str, Slot] | None = None, *, limit: int | None = None) -> Iterator[str]:
    """The sentences of a pattern one by one, at most `limit`; an open slot gets a few plausible values."""
    texts = (" ".join(text.split()) for text in _expand((parse(pattern),), slots or {}))
    return islice(texts, limit)


def sample(pattern: str, slots: Mapping[str, Slot] | None = None, *, n: int, seed: int = 0) -> list[str]:
    """At most `n` different sentences of a pattern, the same for the same seed; see `sample_tagged`."""
    return [sentence.text for sentence in sample_tagged(pattern, slots, n=n, seed=seed)]


def sample_tagged(
    pattern: str, slots: Mapping[str, Slot] | None = None, *, n: int, seed: int = 0
) -> list[TaggedSentence]:
    """At most `n` different sentences of a pattern with their slots, the same for the same seed; fewer if it has fewer.

    Values take turns, and so do a value's forms; every other sentence goes out of its way to use values that were not
    used yet, so that `n` of twice the number of all values uses each. What recognizers make of a value (`sounds_like`)
    is left out, for no caller says it.
    """
    sampler = _Sampler(slots or {}, random.Random(f"{seed} {pattern}"))
    tree = parse(pattern)
    found: dict[str, TaggedSentence] = {}
    for turn in range(n * TRIES):
        if len(found) == n:
            break
        sentence = sampler.sentence(tree, seek_unused=turn % 2 == 0)
        found.setdefault(sentence.text, sentence)
    return list(found.values())


def _check_brackets(pattern: str) -> None:
    """Say plainly what hassil says in terms of chunks and indices, or by an assertion."""
    open_at: list[int] = []
    for at, char in enumerate(re.sub(r"\\.", "__", pattern)):
        if char in CLOSING:
            open_at.append(at)
        elif char in CLOSING.values():
            start = open_at.pop() if open_at else None
            if start is None or CLOSING[pattern[start]] != char:
                raise DomainError(f"the pattern '{pattern}' has a '{char}' that closes nothing")
            if not pattern[start + 1 : at].strip():
                raise DomainError(f"the pattern '{pattern}' has empty brackets '{pattern[start]}{char}'")
    if open_at:
        raise DomainError(f"the pattern '{pattern}' has a '{pattern[open_at[-1]]}' that is never closed")
    if not pattern.strip():
        raise DomainError("a pattern is empty")


def _names(tree: "Expression") -> dict[str, None]:
    from hassil.expression import Group, ListReference

    if isinstance(tree, ListReference):
        if tree.is_capture or tree.slot_name != tree.list_name:
            raise DomainError(f"'{{{tree.list_name}:{tree.slot_name}}}' must be the name of one slot")
        return {tree.slot_name: None}
    return {name: None for item in tree.items for name in _names(item)} if isinstance(tree, Group) else {}


def _expand(trees: "tuple[Expression, ...]", slots: Mapping[str, Slot]) -> Iterator[str]:
    """Every text of `trees` one after the other."""
    from hassil.expression import Alternative, ListReference, Permutation, Sequence, TextChunk

    if not trees:
        yield ""
        return
    tree, *rest = trees
    match tree:
        case Sequence():
            yield from _expand((*tree.items, *rest), slots)
        case Alternative():
            for item in tree.items:
                yield from _expand((item, *rest), slots)
        case Permutation():
            for order in permutations(tree.items):
                yield from _expand((*order, *rest), slots)
        case TextChunk():
            for tail in _expand(tuple(rest), slots):
                yield tree.original_text + tail
        case ListReference():
            for form in _forms(_slot(tree, slots)):
                for tail in _expand(tuple(rest), slots):
                    yield form + tail
        case _:
            raise _unexpanded(tree)


def _forms(slot: Slot) -> list[str]:
    if slot.choices:
        return [form for choice in slot.choices for form in choice.forms if form not in choice.sounds_like]
    rng = random.Random(0)
    return list(dict.fromkeys(spoken_value(slot, rng).form for _ in range(N_OPEN_VALUES)))


def _slot(reference: "Expression", slots: Mapping[str, Slot]) -> Slot:
    (name,) = _names(reference)
    if name not in slots:
        raise DomainError(f"the pattern uses {{{name}}}, which is not a slot")
    return slots[name]


def _unexpanded(tree: "Expression") -> DomainError:
    return DomainError(f"the pattern uses <{getattr(tree, 'rule_name', tree)}>, which only domain.yaml can put in")


class _Sampler:
    """Draws sentences; remembers which values had their turn."""

    def __init__(self, slots: Mapping[str, Slot], rng: random.Random) -> None:
        self._slots = slots
        self._rng = rng
        self._values: dict[str, _Deck] = {}
        self._forms: dict[tuple[str, str], _Deck] = {}

    def sentence(self, tree: "Expression", *, seek_unused: bool) -> TaggedSentence:
        """A random sentence; `seek_unused` takes the branches that lead to values not used yet."""
        text = ""
        tags: list[Tag] = []
        for piece in self._draw(tree, seek_unused):
            if isinstance(piece, SpokenValue):
                tags.append(Tag(piece.slot, piece.value, len(text), len(text) + len(piece.form)))
                text += piece.form
            else:
                text += piece.lstrip() if not text or text[-1].isspace() else piece
        return TaggedSentence(text.rstrip(), tuple(tags))

    def _draw(self, tree: "Expression", seek_unused: bool) -> Iterator[str | SpokenValue]:
        from hassil.expression import Alternative, ListReference, Permutation, Sequence, TextChunk

        match tree:
            case TextChunk():
                yield tree.original_text
            case ListReference():
                yield self._value(_slot(tree, self._slots))
            case Alternative():
                yield from self._draw(self._branch(tree, seek_unused), seek_unused)
            case Permutation():
                for item in self._rng.sample(tree.items, len(tree.items)):
                    yield from self._draw(item, seek_unused)
            case Sequence():
                for item in tree.items:
                    yield from self._draw(item, seek_unused)
            case _:
                raise _unexpanded(tree)

    def _branch(self, tree: "Alternative", seek_unused: bool) -> "Expression":
        unused = [item for item in tree.items if self._has_unused(item)] if seek_unused else []
        if unused:
            return self._rng.choice(unused)
        # The last branch of an optional is to leave it out: half the time, however many others there are.
        if tree.is_optional and self._rng.random() < 0.5:
            return tree.items[-1]
        return self._rng.choice(tree.items[:-1] if tree.is_optional else tree.items)

    def _has_unused(self, tree: "Expression") -> bool:
        """Whether a value within `tree` had no turn yet."""
        return any(
            self._slots[name].choices and (name not in self._values or not self._values[name].all_dealt)
            for name in _names(tree)
            if name in self._slots
        )

    def _value(self, slot: Slot) -> SpokenValue:
        if not slot.choices:
            return spoken_value(slot, self._rng)
        if slot.name not in self._values:
            self._values[slot.name] = _Deck([choice.value for choice in slot.choices], self._rng)
        value = self._values[slot.name].deal()
        key = (slot.name, value)
        if key not in self._forms:
            choice = next(choice for choice in slot.choices if choice.value == value)
            others = [form for form in choice.forms[1:] if form not in choice.sounds_like]
            # Most callers say a value as the domain writes it: half the cards are that.
            self._forms[key] = _Deck([choice.forms[0]] * max(1, len(others)) + others, self._rng)
        return SpokenValue(slot.name, value, self._forms[key].deal())


class _Deck:
    """Texts dealt in random order, all of them before any comes again."""

    def __init__(self, cards: list[str], rng: random.Random) -> None:
        self._cards = cards
        self._rng = rng
        self._left: list[str] = []
        self.all_dealt = False

    def deal(self) -> str:
        if not self._left:
            self._left = self._rng.sample(self._cards, len(self._cards))
        card = self._left.pop()
        self.all_dealt = self.all_dealt or not self._left
        return card
