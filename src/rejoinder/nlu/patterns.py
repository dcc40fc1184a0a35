"""Every utterance pattern of a domain as one automaton over words, so that matching takes well under a millisecond.

It accepts whole sentences with their slots, and it knows whether the words so far are the beginning of one, which is
what tells the endpointer to wait. Slots are arcs over the spans that `slots.SlotFinder` found.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

from rejoinder.domain import Domain
from rejoinder.domain.grammar import parse
from rejoinder.nlu.slots import Span
from rejoinder.text import normalize

if TYPE_CHECKING:
    from hassil.expression import Expression

FILLERS = frozenset(
    "please thanks okay hi hello hey well so yeah yes alright actually just uh-huh hmm like maybe and then".split()
)
"""Words that callers put anywhere and no pattern needs to list."""

FILLER_COST = 0.02
"""What skipping a filler costs: enough to prefer a reading that uses the word."""


@dataclass(frozen=True, slots=True)
class Match:
    """A sentence that a pattern accepts whole: `cost` is 0 when every word and value was as written."""

    intent: str
    spans: tuple[Span, ...]
    cost: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What the patterns make of some words: the whole matches, best first, and which intents could still go on."""

    matches: tuple[Match, ...]
    begun: frozenset[str]


_Path = tuple[float, tuple[Span, ...]]


class Patterns:
    """The automaton: states are integers, arcs are words, slots or nothing."""

    def __init__(self) -> None:
        self._by_word: list[dict[str, list[int]]] = []
        self._by_slot: list[list[tuple[str, int]]] = []
        self._free: list[list[int]] = []
        self._accepts: dict[int, str] = {}
        self._intents: dict[int, str] = {}
        self._starts: list[int] = []
        self._closures: dict[int, tuple[int, ...]] = {}
        self.words: dict[str, set[str]] = defaultdict(set)
        """The words that stand in each intent's patterns."""
        self.slots: dict[str, set[str]] = defaultdict(set)
        """The slots that each intent's patterns name."""
        self.cues: dict[str, frozenset[str]] = {}
        """Words that stand right before a slot: "from" and "to" tell two slots with the same values apart."""

    @classmethod
    def compile(cls, domain: Domain) -> "Patterns":
        """Compile the patterns of every intent; raises `DomainError` for one that cannot be read."""
        patterns = cls()
        for intent in domain.intents.values():
            for pattern in intent.patterns:
                patterns._add(intent.name, pattern)
        patterns.cues = patterns._find_cues()
        return patterns

    def read(self, words: Sequence[str], spans: Sequence[Span]) -> Reading:
        """Match `words` (normalised) with the slots found in them."""
        spans_at: dict[int, list[Span]] = defaultdict(list)
        for span in spans:
            spans_at[span.start].append(span)
        reached: list[dict[int, _Path]] = [{} for _ in range(len(words) + 1)]
        for start in self._starts:
            self._reach(reached[0], start, (0.0, ()))
        for at, word in enumerate(words):
            for state, (cost, path) in list(reached[at].items()):
                for target in self._by_word[state].get(word, ()):
                    self._reach(reached[at + 1], target, (cost, path))
                for slot, target in self._by_slot[state]:
                    for span in spans_at[at]:
                        if span.slot == slot:
                            self._reach(reached[span.end], target, (cost + span.cost, (*path, span)))
                if word in FILLERS:
                    self._reach(reached[at + 1], state, (cost + FILLER_COST, path))
        return self._result(reached[-1], n_words=len(words))

    def _result(self, last: Mapping[int, _Path], *, n_words: int) -> Reading:
        best: dict[str, Match] = {}
        begun = set()
        unmoved = {state for start in self._starts for state in self._closure(start)}  # reached over fillers alone
        for state, (cost, path) in last.items():
            if state in self._accepts and n_words:
                intent = self._accepts[state]
                if intent not in best or cost < best[intent].cost:
                    best[intent] = Match(intent, path, cost)
            elif state not in unmoved and (self._by_word[state] or self._by_slot[state]):
                begun.add(self._intents[state])
        # Of two patterns that accept the same words, the one that reads more of them as slots says more.
        matches = sorted(best.values(), key=lambda match: (match.cost, -sum(s.end - s.start for s in match.spans)))
        return Reading(tuple(matches), frozenset(begun))

    def _reach(self, states: dict[int, _Path], state: int, path: _Path) -> None:
        for reachable in self._closure(state):
            if reachable not in states or path[0] < states[reachable][0]:
                states[reachable] = path

    def _closure(self, state: int) -> tuple[int, ...]:
        """The states that can be reached from `state` without a word."""
        if state not in self._closures:
            found = {state}
            todo = [state]
            while todo:
                for target in self._free[todo.pop()]:
                    if target not in found:
                        found.add(target)
                        todo.append(target)
            self._closures[state] = tuple(found)
        return self._closures[state]

    def _add(self, intent: str, pattern: str) -> None:
        # `coffee[s]` joins letters to a word; whole words are what the automaton reads, so it becomes a choice.
        whole_words = re.sub(r"(\w+)\[(\w+)\]", r"(\1|\1\2)", pattern)
        n_before = len(self._free)
        start = self._state()
        end = self._build(parse(whole_words), start, intent)
        self._starts.append(start)
        self._accepts[end] = intent
        for state in range(n_before, len(self._free)):
            self._intents[state] = intent

    def _find_cues(self) -> dict[str, frozenset[str]]:
        before: dict[str, set[str]] = defaultdict(set)
        for targets_by_word in self._by_word:
            for word, targets in targets_by_word.items():
                for state in (reachable for target in targets for reachable in self._closure(target)):
                    for slot, _ in self._by_slot[state]:
                        before[slot].add(word)
        return {slot: frozenset(words) for slot, words in before.items()}

    def _state(self) -> int:
        self._by_word.append({})
        self._by_slot.append([])
        self._free.append([])
        return len(self._free) - 1

    def _build(self, tree: "Expression", start: int, intent: str) -> int:
        """Add the states of `tree` after `start`; return the state behind it."""
        from hassil.expression import Alternative, ListReference, Permutation, TextChunk
        from hassil.expression import Sequence as Chain

        match tree:
            case TextChunk():
                for word in normalize(tree.original_text).split():
                    target = self._state()
                    self._by_word[start].setdefault(word, []).append(target)
                    self.words[intent].add(word)
                    start = target
                return start
            case ListReference():
                target = self._state()
                self._by_slot[start].append((tree.slot_name, target))
                self.slots[intent].add(tree.slot_name)
                return target
            case Alternative():
                return self._join([self._build(item, start, intent) for item in tree.items])
            case Permutation():
                orders = permutations(tree.items)
                return self._join([self._build(Chain(items=list(order)), start, intent) for order in orders])
            case Chain():
                for item in tree.items:
                    start = self._build(item, start, intent)
                return start
            case _:
                raise TypeError(f"{type(tree).__name__} stands in a pattern unexpanded")

    def _join(self, ends: list[int]) -> int:
        """One state behind several alternatives, some of which may have added no state at all."""
        target = self._state()
        for end in dict.fromkeys(ends):
            self._free[end].append(target)
        return target
