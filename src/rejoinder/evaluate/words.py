"""What was said against what was heard: word and character errors, the domain's terms, and the differences in words.

Texts are compared in their normal form (`rejoinder.text.normalize`) along an alignment with the fewest word errors.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from rapidfuzz.distance import Levenshtein

from rejoinder.domain import Domain
from rejoinder.text import normalize


@lru_cache(maxsize=1 << 14)  # a reference is compared with what every system heard in every condition
def normal_words(text: str) -> tuple[str, ...]:
    """The words of a text in their normal form."""
    return tuple(normalize(text).split())


class Piece(NamedTuple):
    """A run of words that were heard as they were said, or otherwise."""

    kind: Literal["equal", "replace", "delete", "insert"]
    said: tuple[str, ...]
    heard: tuple[str, ...]


class Errors(NamedTuple):
    """Substitutions, deletions and insertions, and what they are out of."""

    n_errors: int
    n_said: int


@dataclass(frozen=True, slots=True)
class Pair:
    """One utterance in normalised words, as it was said and as it was heard."""

    said: tuple[str, ...]
    heard: tuple[str, ...]

    @classmethod
    def of(cls, said: str, heard: str) -> "Pair":
        """From texts as they are written."""
        return cls(normal_words(said), normal_words(heard))

    @property
    def word_errors(self) -> Errors:
        """For the word error rate."""
        return Errors(Levenshtein.distance(self.said, self.heard), len(self.said))

    @property
    def char_errors(self) -> Errors:
        """For the character error rate; the spaces between words count, as in jiwer."""
        said = " ".join(self.said)
        return Errors(Levenshtein.distance(said, " ".join(self.heard)), len(said))

    def pieces(self) -> tuple[Piece, ...]:
        """All words in their order; wrong ones that are neighbours are one piece."""
        pieces: list[Piece] = []
        for op in Levenshtein.opcodes(self.said, self.heard):
            said, heard = self.said[op.src_start : op.src_end], self.heard[op.dest_start : op.dest_end]
            if op.tag == "equal":
                pieces.append(Piece("equal", said, heard))
                continue
            if pieces and pieces[-1].kind != "equal":
                before = pieces.pop()
                said, heard = before.said + said, before.heard + heard
            pieces.append(Piece("replace" if said and heard else "delete" if said else "insert", said, heard))
        return tuple(pieces)

    def heard_for(self, start: int, end: int) -> tuple[str, ...]:
        """What was heard in the place of the words `start` to `end` (exclusive) that were said.

        Words that were inserted beside them are part of it where the word next to them is wrong ("la tay", of which
        one stands for "latte").
        """
        blocks = Levenshtein.opcodes(self.said, self.heard)
        right = {at for op in blocks if op.tag == "equal" for at in range(op.src_start, op.src_end)}
        heard: list[str] = []
        for op in blocks:
            match op.tag:
                case "equal" | "replace":  # as many words on both sides
                    first, last = max(start, op.src_start), min(end, op.src_end)
                    shift = op.dest_start - op.src_start
                    heard += self.heard[first + shift : max(first, last) + shift]
                case "insert":
                    at = op.src_start
                    begins, ends = at == start and start not in right, at == end and end - 1 not in right
                    if start < at < end or begins or ends:
                        heard += self.heard[op.dest_start : op.dest_end]
        return tuple(heard)


def diff(said: str, heard: str) -> tuple[Piece, ...]:
    """The words of two texts in their normal form, told apart where they differ."""
    return Pair.of(said, heard).pieces()


def error_rate(errors: Iterable[Errors]) -> float:
    """All errors over all that was said."""
    counted = tuple(errors)
    return sum(one.n_errors for one in counted) / max(sum(one.n_said for one in counted), 1)


class Place(NamedTuple):
    """A term in words: those from `start` to `end` (exclusive)."""

    term: str
    start: int
    end: int


class Missed(NamedTuple):
    """A term that was said and not heard."""

    term: str
    heard: str
    """What was heard in its place; empty where nothing was."""


@dataclass(frozen=True, slots=True)
class TermHits:
    """What became of the terms of one utterance; a term said twice stands here twice."""

    said: tuple[str, ...]
    missed: tuple[Missed, ...]
    false: tuple[str, ...]
    """Terms that were heard, and nobody said."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms and slot values of a domain, to be found in words whichever of their forms is used.

    Words are the same whether they are written apart or together ("soymilk", "soy milk").
    """

    forms: Mapping[str, str]
    """Forms, normalised, with the term as the domain writes it."""
    _by_letters: Mapping[str, str] = field(init=False, repr=False, compare=False)
    _n_letters_most: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_letters: dict[str, str] = {}
        for form, term in self.forms.items():
            by_letters.setdefault(form.replace(" ", ""), term)
        object.__setattr__(self, "_by_letters", by_letters)
        object.__setattr__(self, "_n_letters_most", max(map(len, by_letters), default=0))

    @classmethod
    def of(cls, domain: Domain) -> "Terms":
        """The terms of a domain and the values of its closed slots, in all forms that callers use.

        A form of several terms counts as the one that is written like that, or else the first.
        """
        entries = [(term.written, term.synonyms) for term in domain.terms]
        entries += [
            (choice.value, tuple(form for form in choice.forms if form not in choice.sounds_like))
            for slot in domain.slots.values()
            for choice in slot.choices
        ]
        forms: dict[str, str] = {}
        for term, _ in entries:
            forms.setdefault(normalize(term), term)
        for term, others in entries:
            owner = forms[normalize(term)]
            for other in others:
                forms.setdefault(normalize(other), owner)
        return cls({form: term for form, term in forms.items() if form})

    def everywhere(self, words: Sequence[str]) -> Iterator[Place]:
        """Every term in `words`, those within and across others too, by where they start, shorter ones first."""
        for start in range(len(words)):
            letters = ""
            for end, word in enumerate(words[start:], start + 1):
                letters += word
                if len(letters) > self._n_letters_most:
                    break
                if letters in self._by_letters:
                    yield Place(self._by_letters[letters], start, end)

    def find(self, words: Sequence[str]) -> tuple[Place, ...]:
        """The terms in `words` that do not overlap, from left to right the longest each: no "mocha" in "iced mocha"."""
        return _apart(self.everywhere(words))

    def _count(self, words: Sequence[str]) -> Counter[str]:
        """How often each term is in `words`, within other terms too."""
        by_term: dict[str, list[Place]] = {}
        for place in self.everywhere(words):
            by_term.setdefault(place.term, []).append(place)
        return Counter({term: len(_apart(places)) for term, places in by_term.items()})

    def compare(self, pair: Pair) -> TermHits:
        """What became of the terms of one utterance.

        A term was heard where one of its forms was, be it within a longer term ("iced mocha" for "mocha": the mocha
        was heard, and an iced mocha nobody said).
        """
        said = self.find(pair.said)
        terms = tuple(place.term for place in said)
        if pair.said == pair.heard:
            return TermHits(terms, (), ())
        left, known = self._count(pair.heard), self._count(pair.said)
        short = {term for term, n in Counter(terms).items() if n > left[term]}
        lacking = [(place.term, pair.heard_for(place.start, place.end)) for place in said if place.term in short]
        missed: list[Missed] = []
        # Of a term that was said more often than heard, those were heard that are found in their place.
        for term, instead in sorted(lacking, key=lambda one: not self._count(one[1])[one[0]]):
            if left[term]:
                left[term] -= 1
            else:
                missed.append(Missed(term, " ".join(instead)))
        false: list[str] = []
        for place in self.find(pair.heard):
            if known[place.term]:
                known[place.term] -= 1
            else:
                false.append(place.term)
        return TermHits(terms, tuple(missed), tuple(false))


def _apart(places: Iterable[Place]) -> tuple[Place, ...]:
    """From left to right the longest that do not overlap."""
    kept: list[Place] = []
    for place in sorted(places, key=lambda place: (place.start, -place.end)):
        if not kept or place.start >= kept[-1].end:
            kept.append(place)
    return tuple(kept)


def term_recall(hits: Iterable[TermHits]) -> float | None:
    """Share of the terms said that were heard; None where none was said."""
    counted = tuple(hits)
    n_said = sum(len(one.said) for one in counted)
    return 1 - sum(len(one.missed) for one in counted) / n_said if n_said else None


def false_alarms(hits: Iterable[TermHits]) -> tuple[bool, ...]:
    """For each utterance without any term, whether one was heard in it."""
    return tuple(bool(one.false) for one in hits if not one.said)


def confusions(hits: Iterable[TermHits]) -> tuple[tuple[str, str, int], ...]:
    """Terms with what was heard in their place ("" for nothing) and how often, most frequent first."""
    counted = Counter(missed for one in hits for missed in one.missed)
    return tuple((*missed, n) for missed, n in sorted(counted.items(), key=lambda item: (-item[1], item[0])))
