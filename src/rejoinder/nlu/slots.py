"""Slot values in what was said: closed lists by value and synonym, open kinds by parsing.

A recognizer's spelling is not the domain's: "20-ounce", "soymilk", "expresso". Words are compared in normal form,
joined and split words are the same, and what is left may differ a little in letters or in sound.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from rejoinder.domain import Slot, SlotKind
from rejoinder.nlu.values import find_values
from rejoinder.text import normalize

LETTERS, SOUND = 0.26, 0.26
"""Largest distance of a misspelt word in letters, and in sound: "crime" for "cream", but not "letter" for "latte"."""

LETTERS_IN_CONTEXT, SOUND_IN_CONTEXT = 0.4, 0.33
"""The same where other words of the value are right: "so milk" for "soy milk"."""

SOUND_WHERE_TAGGED, SOUND_APART = 0.5, 0.05
"""Largest distance where the words are known to be a value, and how much nearer it must be than any other value."""

N_LETTERS_LEAST = 4
"""Shorter words differ from too many others by one letter to be guessed at."""

FUNCTION_WORDS = frozenset(
    """a an the and or but of to in on at for from by with without is are was be been do does did have has had can
    could will would should may might must not no yes i you he she it we they me him her us them my your his its our
    their this that these those what which who when where why how there here if so as than then too very just get got
    want like need give make take go put let please some any about one two three four five six seven eight nine
    ten""".split()
)
"""Words that are never taken for a misspelt value."""

CORRECTIONS = frozenset("no not actually sorry rather instead mean wait make change".split())
"""Words after which a second value for the same slot replaces the first."""


@dataclass(frozen=True, slots=True)
class Span:
    """A slot's value in the words `start` to `end` (exclusive); `cost` is 0 for the exact form, up to 1."""

    slot: str
    value: str
    start: int
    end: int
    cost: float = 0.0
    finished: bool = True
    """False for a value that is still being spoken: "four one two" of a phone number."""


@dataclass(frozen=True, slots=True)
class _Form:
    slot: str
    value: str
    words: tuple[str, ...]


class SlotFinder:
    """Finds every slot of a domain in normalised words. Immutable once built."""

    def __init__(self, slots: Mapping[str, Slot]) -> None:
        self._open = [slot for slot in slots.values() if slot.kind is not SlotKind.CLOSED]
        self._by_letters: dict[str, list[_Form]] = defaultdict(list)
        self._by_length: dict[int, list[tuple[str, str]]] = defaultdict(list)
        begun: set[tuple[str, ...]] = set()
        for slot in slots.values():
            for choice in slot.choices:
                for spelling in dict.fromkeys((choice.value, *choice.forms)):
                    words = tuple(normalize(spelling).split())
                    if words:
                        self._by_letters[_letters(words)].append(_Form(slot.name, choice.value, words))
                        begun.update(words[:n_words] for n_words in range(1, len(words)))
        self._closed = {
            slot.name: [(choice.value, normalize(form)) for choice in slot.choices for form in choice.forms]
            for slot in slots.values()
            if slot.choices
        }
        self._begun = frozenset(begun)
        self._spellings = sorted(self._by_letters)
        self._n_words_most = max((len(f.words) for forms in self._by_letters.values() for f in forms), default=0)
        self.words = frozenset(_stem(w) for forms in self._by_letters.values() for form in forms for w in form.words)
        """Every word that stands in some closed value, without its plural ending."""

    def find(
        self, words: Sequence[str], *, today: date, expected: str | None = None, known: frozenset[str] = frozenset()
    ) -> tuple[Span, ...]:
        """Every value in `words`, overlapping ones included.

        `expected` is the slot just asked for: its open kind may then be spoken without any mark of its kind.
        `known` words stand in the domain's own patterns and are not taken for misspelt values.
        """
        spans = {(span.slot, span.value, span.start, span.end): span for span in self._misspelt(words, known)}
        spans.update({(span.slot, span.value, span.start, span.end): span for span in self._exact(words)})
        for slot in self._open:
            for found in find_values(slot, words, today=today, expected=slot.name == expected):
                span = Span(slot.name, found.value, found.start, found.end, found.cost, found.finished)
                spans[(span.slot, span.value, span.start, span.end)] = span
        return tuple(sorted(spans.values(), key=lambda span: (span.start, -span.end, span.cost)))

    def read(self, slot: str, words: Sequence[str], start: int, end: int, *, today: date) -> Iterator[Span]:
        """The value of `slot` in the words `start` to `end`, which are known to be one, however it was misheard.

        A closed value is the one that sounds most alike, unless it sounds like nothing in the list or like several.
        """
        if slot in self._closed:
            best = self._most_alike(slot, " ".join(words[start:end]))
            if best is not None:
                yield Span(slot, best[0], start, end, best[1])
        for one in self._open:
            if one.name == slot:
                for found in find_values(one, words[start:end], today=today, expected=True):
                    yield Span(slot, found.value, start + found.start, start + found.end, found.cost, found.finished)

    def _most_alike(self, slot: str, said: str) -> tuple[str, float] | None:
        """The closed value that sounds most like `said`, and how far it is from that."""
        # Imported here because the pronouncing dictionary takes most of a second to load, and few sentences need it.
        from rejoinder.phonetics import distance, phonemes

        sound = phonemes(said)
        by_value: dict[str, float] = {}
        for value, form in self._closed[slot]:
            by_value[value] = min(by_value.get(value, 1.0), distance(sound, phonemes(form)))
        (value, nearest), *others = sorted(by_value.items(), key=lambda item: item[1])
        if nearest > SOUND_WHERE_TAGGED or (others and others[0][1] - nearest < SOUND_APART):
            return None
        return value, nearest

    def ends_within_value(self, words: Sequence[str]) -> bool:
        """Whether the last words are the beginning of a value, and of no shorter value: "with a little bit"."""
        for n_words in range(1, min(len(words), self._n_words_most) + 1):
            tail = tuple(words[-n_words:])
            if tail in self._begun and _letters(tail) not in self._by_letters:
                return True
        return False

    def _windows(self, words: Sequence[str]) -> Iterator[tuple[int, int]]:
        for start in range(len(words)):
            for end in range(start + 1, min(start + self._n_words_most + 2, len(words)) + 1):
                yield start, end

    def _exact(self, words: Sequence[str]) -> Iterator[Span]:
        for start, end in self._windows(words):
            for form in self._by_letters.get(_letters(words[start:end]), ()):
                yield Span(form.slot, form.value, start, end, 0.0 if end - start == len(form.words) else 0.01)

    def _misspelt(self, words: Sequence[str], known: frozenset[str]) -> Iterator[Span]:
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cdist

        strange = [_stem(word) not in self.words and word not in FUNCTION_WORDS | known for word in words]
        # Only windows around a word that nothing else explains can hold a misspelling.
        windows = [(start, end) for start, end in self._windows(words) if any(strange[start:end])]
        if not windows or not self._spellings:
            return
        letters = [_letters(words[start:end]) for start, end in windows]
        distances = cdist(letters, self._spellings, scorer=Levenshtein.normalized_distance, score_cutoff=0.5)
        for row, column in zip(*(distances <= 0.5).nonzero(), strict=True):
            start, end = windows[row]
            for form in self._by_letters[self._spellings[column]]:
                cost = _misspelling(tuple(words[start:end]), form.words)
                if cost is not None:
                    yield Span(form.slot, form.value, start, end, cost)


def assign(
    spans: Sequence[Span],
    words: Sequence[str],
    *,
    allowed: frozenset[str] | None = None,
    expected: str | None = None,
    cues: Mapping[str, frozenset[str]] | None = None,
) -> tuple[Span, ...]:
    """The best spans that do not overlap: longest and closest to what was written, at most one a slot.

    `allowed` limits the slots; `expected` is preferred where two slots could take the same words; `cues` are words that
    stand right before a slot in the patterns ("from" and "to").
    """
    starting: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        if allowed is None or span.slot in allowed:
            starting[span.start].append(span)

    def weight(span: Span) -> float:
        cued = span.start > 0 and words[span.start - 1] in (cues or {}).get(span.slot, frozenset())
        return (span.end - span.start) * (1 - 1.5 * span.cost) - 0.1 + 0.2 * cued + 0.5 * (span.slot == expected)

    best: list[tuple[float, tuple[Span, ...]]] = [(0.0, ())] * (len(words) + 1)  # of the words from here on
    for start in range(len(words) - 1, -1, -1):
        best[start] = best[start + 1]
        for span in starting[start]:
            score = weight(span) + best[span.end][0]
            if score > best[start][0]:
                best[start] = (score, (span, *best[span.end][1]))
    return _one_each(best[0][1], words)


def _one_each(spans: tuple[Span, ...], words: Sequence[str]) -> tuple[Span, ...]:
    """Of two values for one slot the later one, when the caller corrects himself, else the longer or surer one."""
    chosen: dict[str, Span] = {}
    for span in spans:
        before = chosen.get(span.slot)
        corrected = before is not None and not CORRECTIONS.isdisjoint(words[before.end : span.start])
        if before is None or (not before.value and span.value):
            chosen[span.slot] = span
        elif before.value and not span.value:  # "large, not small" is large; "with milk, I mean no milk" is none
            if words[span.start] != "not":
                chosen[span.slot] = span
        elif corrected or (span.end - span.start, -span.cost) >= (before.end - before.start, -before.cost):
            chosen[span.slot] = span
    return tuple(sorted(chosen.values(), key=lambda span: span.start))


@lru_cache(maxsize=8_192)
def _stem(word: str) -> str:
    """Without the plural's ending, the same for a value and for what was said."""
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _letters(words: Sequence[str]) -> str:
    """The words as one string, so that "soymilk" and "soy milk" are the same."""
    return "".join(_stem(word) for word in words)


def _misspelling(said: tuple[str, ...], form: tuple[str, ...]) -> float | None:
    """How far `said` is from `form` in [0, 1], or None when it is something else.

    Words that are equal at either end are set aside: "oat milk" shares most letters with "soy milk" and is not it.
    """
    n_front = 0
    while n_front < min(len(said), len(form)) and _stem(said[n_front]) == _stem(form[n_front]):
        n_front += 1
    n_back = 0
    while n_back < min(len(said), len(form)) - n_front and _stem(said[-1 - n_back]) == _stem(form[-1 - n_back]):
        n_back += 1
    said_rest, form_rest = said[n_front : len(said) - n_back], form[n_front : len(form) - n_back]
    if not said_rest or not form_rest or all(word in FUNCTION_WORDS for word in said_rest):
        return None
    in_context = bool(n_front + n_back) and not set(form[:n_front] + form[len(form) - n_back :]) <= FUNCTION_WORDS
    share = len("".join(form_rest)) / len("".join(form))
    if len("".join(form_rest)) < (3 if in_context else N_LETTERS_LEAST):
        return None
    distance = _distance(" ".join(said_rest), " ".join(form_rest), in_context=in_context)
    return None if distance is None else distance * share


def _distance(said: str, form: str, *, in_context: bool) -> float | None:
    """How far apart two spellings are, in letters or else in sound; None when they are not the same word."""
    from rapidfuzz.distance import Levenshtein

    in_letters = float(Levenshtein.normalized_distance(said.replace(" ", ""), form.replace(" ", "")))
    if in_letters <= (LETTERS_IN_CONTEXT if in_context else LETTERS):
        return in_letters
    # Imported here because the pronouncing dictionary takes most of a second to load, and few sentences need it.
    from rejoinder.phonetics import distance, phonemes

    in_sound = distance(phonemes(said), phonemes(form))
    return in_sound if in_sound <= (SOUND_IN_CONTEXT if in_context else SOUND) else None
