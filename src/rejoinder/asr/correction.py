"""Finding a domain's words in what a recognizer made of them.

Two uses. `PhraseFinder` proposes, from sound alone, where a phrase of the domain may hide behind other words; a
recognizer that can score text against its audio decides (`moonshine`). `Corrector` works on the text of any recognizer,
where nothing can be checked any more, and so replaces only what the domain says is misheard.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rejoinder.asr.recognizer import BiasPhrase, Transcript, Word
from rejoinder.domain import Domain
from rejoinder.phonetics import PhoneticIndex, cost, phonemes, weight
from rejoinder.text import normalize

FARTHEST = 0.55
"""Phonetic distance up to which a phrase is proposed; the audio decides between it and what stands there."""

MARGIN = 0.1
"""How much farther the same phrase may be when it leaves out the first word of where it is nearest."""

N_PROPOSALS = 8
"""Replacements that are weighed at once, nearest first: each costs a row of a decoder call."""

PHONEMES_A_WEIGHT = 8
HEAVIEST = 1.5
"""A phrase weighs by its phonemes up to this: what sounds like a short one is often something else."""

SURE = 0.9
"""Words that the recognizer was at least so sure of are left alone: of the replacements that were right in synthetic
speech of two domains 1% had such words, of the wrong ones 37%."""

_PIECE = re.compile(r"[^\s\-–—]+")
_TRAILING = re.compile(r"[.,?!;:]*$")


@dataclass(frozen=True, slots=True)
class Replacement:
    """Put `phrase` in the place of the words `first` to `end` (excluded)."""

    first: int
    end: int
    phrase: str
    distance: float
    weight: float
    """How much a recognizer should be inclined to it: what the phrase weighs, less the farther its sound is, and less
    what the phrases weigh that stand there."""

    def overlaps(self, other: "Replacement") -> bool:
        """Whether both would change the same words."""
        return self.first < other.end and other.first < self.end


def split_words(words: Sequence[Word]) -> tuple[Word, ...]:
    """The words of a transcript with their punctuation, hyphenated ones apart."""
    return tuple(Word(piece, word.confidence) for word in words for piece in _PIECE.findall(word.text))


def replaced(words: Sequence[Word], replacements: Sequence[Replacement]) -> tuple[Word, ...]:
    """`words` with replacements that do not overlap; the capital at the beginning and the punctuation stay.

    New words are as sure as the least sure one in whose place they stand.
    """
    result = list(words)
    for change in sorted(replacements, key=lambda change: -change.first):
        phrase = change.phrase if change.first else change.phrase[:1].upper() + change.phrase[1:]
        trailing = _TRAILING.search(words[change.end - 1].text)
        confidence = min(word.confidence for word in words[change.first : change.end])
        result[change.first : change.end] = [
            Word(text, confidence) for text in (phrase + (trailing[0] if trailing else "")).split()
        ]
    return tuple(result)


def joined(words: Sequence[Word]) -> str:
    """The text of some words."""
    return " ".join(word.text for word in words)


class PhraseFinder:
    """The phrases of a domain, by sound."""

    def __init__(self, phrases: Sequence[BiasPhrase]) -> None:
        """Work out the pronunciation of every phrase, once."""
        self._phrases = tuple(phrases)
        self._normal = [tuple(normalize(phrase.text).split()) for phrase in phrases]
        self._sounds = [phonemes(" ".join(words)) for words in self._normal]
        self._index = PhoneticIndex(self._sounds)
        self._weights = [
            phrase.boost * min(HEAVIEST, len(pronunciation.replace(" ", "")) / PHONEMES_A_WEIGHT)
            for phrase, pronunciation in zip(phrases, self._sounds, strict=True)
        ]
        self._by_first: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        for words, worth in zip(self._normal, self._weights, strict=True):
            if words:
                self._by_first.setdefault(words[0], []).append((words, worth))

    def settled(self, words: Sequence[str]) -> list[float]:
        """For each word, its share in the weight of the phrase that stands there as it should; 0 where none does."""
        normal = [tuple(normalize(word).split()) for word in words]
        starts: list[int] = []
        flat: list[str] = []
        for index, parts in enumerate(normal):
            starts += [index] * len(parts)
            flat += parts
        result = [0.0] * len(words)
        for at, word in enumerate(flat):
            for phrase, worth in self._by_first.get(word, ()):
                if tuple(flat[at : at + len(phrase)]) == phrase:
                    covered = set(starts[at : at + len(phrase)])
                    for index in covered:
                        result[index] = max(result[index], worth / len(covered))
        return result

    def find(self, words: Sequence[str], confidences: Sequence[float]) -> list[Replacement]:
        """What might stand in the place of some of `words`, nearest in sound first.

        Nothing is proposed for words that are part of a phrase already, or that the recognizer was sure of.
        """
        settled = self.settled(words)
        doubtful = [not worth and sure < SURE for worth, sure in zip(settled, confidences, strict=True)]
        if not any(doubtful):
            return []
        sounds = [phonemes(normalize(word)) for word in words]
        found: list[Replacement] = []
        for phrase, first, end, nearest in self._index.search(sounds, most=FARTHEST):
            for start in {first, min(first + 1, end - 1)}:  # "a dull shot", but also "dull shot"
                distance = nearest if start == first else self._distance(phrase, sounds[start:end])
                if distance <= nearest + MARGIN and any(doubtful[start:end]):
                    worth = self._weights[phrase] * (1 - distance) - sum(settled[start:end])
                    found.append(Replacement(start, end, self._phrases[phrase].text, distance, worth))
        return sorted((change for change in found if change.weight > 0), key=lambda change: change.distance)

    def _distance(self, phrase: int, heard: Sequence[str]) -> float:
        return cost(self._sounds[phrase], "".join(heard)) / weight(self._sounds[phrase])

    def proposals(self, words: Sequence[str], confidences: Sequence[float]) -> list[tuple[Replacement, ...]]:
        """Sets of replacements to be weighed against each other: single ones, neighbours, and all that go together."""
        single = self.find(words, confidences)[:N_PROPOSALS]
        together: list[Replacement] = []
        for change in sorted(single, key=lambda change: -change.weight):
            if not any(change.overlaps(other) for other in together):
                together.append(change)
        together.sort(key=lambda change: change.first)
        pairs = list(pairwise(together)) if len(together) > 2 else []
        return [(change,) for change in single] + [tuple(together)] * (len(together) > 1) + pairs


class Corrector:
    """What a recognizer makes of the domain's terms (`sounds_like`), put right in a transcript's text."""

    def __init__(self, rules: Sequence[tuple[tuple[str, ...], str]]) -> None:
        """`rules` are pairs of misheard normal words and what was said."""
        self._rules: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for misheard, said in sorted(rules, key=lambda rule: -len(rule[0])):
            self._rules.setdefault(misheard[0], []).append((misheard, said))

    @classmethod
    def compile(cls, domain: Domain) -> "Corrector":
        """Take the misheard forms from the domain's terms and slot values."""
        pairs = [(misheard, term.written) for term in domain.terms for misheard in term.sounds_like]
        pairs += [
            (misheard, choice.value)
            for slot in domain.slots.values()
            for choice in slot.choices
            for misheard in choice.sounds_like
        ]
        rules = {tuple(normalize(misheard).split()): said for misheard, said in pairs}
        return cls([(words, said) for words, said in rules.items() if words])

    def correct(self, transcript: Transcript) -> Transcript:
        """The same transcript with misheard forms replaced; tokens stay, so that it still serves as a draft."""
        words = split_words(transcript.words)
        normal = [normalize(word.text) for word in words]
        changes: list[Replacement] = []
        at = 0
        while at < len(words):
            change = self._rule_at(normal, at)
            if change:
                changes.append(change)
            at = change.end if change else at + 1
        if not changes:
            return transcript
        words = replaced(words, changes)
        return replace(transcript, text=joined(words), words=words)

    def _rule_at(self, normal: Sequence[str], at: int) -> Replacement | None:
        for misheard, said in self._rules.get(normal[at], ()):
            if tuple(normal[at : at + len(misheard)]) == misheard:
                return Replacement(at, at + len(misheard), said, 0.0, 1.0)
        return None
