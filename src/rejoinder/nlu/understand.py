"""What the caller means: commands and asked-for values first, then intents, then the knowledge, and else nothing."""

import hashlib
import logging
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from rejoinder import __version__
from rejoinder.domain import Domain, Intent
from rejoinder.events import Completion, Understanding
from rejoinder.nlu.calendar import spell_dates
from rejoinder.nlu.classifier import OUT_OF_SCOPE, IntentClassifier, Prediction
from rejoinder.nlu.commands import command, confirmation
from rejoinder.nlu.completion import dangles, intent_completion, may_grow, value_completion
from rejoinder.nlu.encoder import Encoder
from rejoinder.nlu.evidence import SURE, adds, answers, asks
from rejoinder.nlu.joint import JointModel, JointReading
from rejoinder.nlu.negation import refused
from rejoinder.nlu.patterns import FILLERS, Patterns, Reading
from rejoinder.nlu.reader import N_WINDOWS, Reader, spoken
from rejoinder.nlu.retrieval import Answer, Knowledge
from rejoinder.nlu.slots import CORRECTIONS, FUNCTION_WORDS, SlotFinder, Span, assign
from rejoinder.nlu.training import background, training_sentences
from rejoinder.text import normalize

logger = logging.getLogger(__name__)

CONFIRM = "confirm"
"""What `expecting` is when the last reply asked for a yes; also the slot that holds the answer."""

CACHE_VERSION = 2
"""Raise it when what is fitted changes its meaning."""

ARRAYS = ("labels", "weights", "temperature", "vectors", "targets", "knowledge")
"""What a file of the cache holds."""

N_CHARACTERS_AT_MOST, N_WORDS_AT_MOST = 2_000, 120
"""The rest of a longer turn is left out: 120 words are most of a minute of speech, and the time stays bounded."""

TOO_CLOSE = 0.55
"""Cosine to a sentence of the domain above which a built-in out-of-scope sentence is none for this domain."""

STRONG_INTENT = 0.8
"""An intent below this may give way to the knowledge, and is not called complete."""

_PLAIN = FILLERS | FUNCTION_WORDS | CORRECTIONS
"""Words that say nothing about what is meant."""

FOR_COVERED, AGAINST_UNEXPLAINED, AGAINST_NO_VALUE = 3.0, 4.0, 1.0
"""What the slots add to an intent's log-odds: for the share of words inside its values, against the share that neither
values nor patterns explain (beyond `MAY_BE_UNEXPLAINED`), and against it when it needs a value and none was found."""

MAY_BE_UNEXPLAINED = 0.2

SURE_OF_TAG = 0.5
"""Least probability of every word of a value that only the joint model sees."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """A turn, taken apart once for every stage that looks at it."""

    text: str
    words: tuple[str, ...]
    spans: tuple[Span, ...]
    reading: Reading


class Understander:
    """Understands one domain. Immutable once fitted, and safe to call from several threads at once."""

    def __init__(
        self,
        domain: Domain,
        encoder: Encoder,
        classifier: IntentClassifier,
        knowledge: Knowledge,
        *,
        joint: JointModel | None = None,
        reader: Reader | None = None,
        today: Callable[[], date] = date.today,
    ) -> None:
        self._domain = domain
        self._encoder = encoder
        self._classifier = classifier
        self._knowledge = knowledge
        if joint is not None and not joint.fits(domain.intents):
            logger.warning(
                "the adapted model of intents is left out: the domain has got more intents since; "
                "type: rejoinder adapt %s nlu --deep",
                domain.folder,
            )
            joint = None
        self._joint = joint
        self._reader = reader
        self._today = today
        self._finder = SlotFinder(domain.slots)
        self._patterns = Patterns.compile(domain)
        self._allowed = {
            intent.name: frozenset(slot.name for slot in intent.slots) | self._patterns.slots[intent.name]
            for intent in domain.intents.values()
        }
        self._known = frozenset(word for words in self._patterns.words.values() for word in words)
        self._added = frozenset(slot for slot, cues in self._patterns.cues.items() if "with" in cues)
        self._plain = {
            intent.name: _PLAIN | self._patterns.words[intent.name] | _own_words(intent)
            for intent in domain.intents.values()
        }

    @classmethod
    def fit(
        cls,
        domain: Domain,
        encoder: Encoder,
        *,
        joint: JointModel | None = None,
        reader: Reader | None = None,
        cache: Path | None = None,
        today: Callable[[], date] = date.today,
    ) -> "Understander":
        """Fit the instant tier on a domain's own sentences: about two seconds, or 20 ms when `cache` (a folder) has it.

        What is cached is named by the hash of everything that it was made from; a damaged file is made anew. A `joint`
        model that was fine-tuned on the domain tells intents in place of the instant tier, and helps to find slots; one
        that lacks an intent which the domain has by now is left out. A `reader` that was trained on it finds the words
        of the knowledge that answer. `today` dates "tomorrow". Raises `DomainError` for a pattern that cannot be read.
        """
        kept = cache / f"nlu-{_key(domain, encoder)}.npz" if cache is not None else None
        arrays = _read(kept) if kept is not None else None
        if arrays is None:
            arrays = _fit(domain, encoder)
            if kept is not None:
                _write(kept, arrays)
        classifier = IntentClassifier.from_arrays(arrays)
        knowledge = Knowledge(domain.passages, Knowledge.texts(domain.passages)[1], arrays["knowledge"])
        return cls(domain, encoder, classifier, knowledge, joint=joint, reader=reader, today=today)

    def understand(self, text: str, *, expecting: str | None = None, intent: str | None = None) -> Understanding:
        """What `text` means where the dialogue stands.

        `expecting` is the slot that was just asked for, or `CONFIRM` after a question for a yes, whose answer comes
        back in the slot "confirm". `intent` is the one in progress: additions and corrections ("no, make it large")
        give its slots, with source "slot".
        """
        heard = self._hear(text, expecting)
        if not heard.words:
            return Understanding(text, completion=Completion.INCOMPLETE if text.strip() else Completion.PLAUSIBLE)
        understanding = (
            self._as_expected(heard, expecting, intent)
            or self._as_command(heard, expecting)
            or self._as_pattern(heard)
            or self._as_addition(heard, expecting, intent)
            or self._by_meaning(heard)
        )
        if dangles(text, heard.words) and understanding.source != "command":
            return replace(understanding, completion=Completion.INCOMPLETE)
        if self._finder.ends_within_value(heard.words):
            return replace(understanding, completion=Completion.INCOMPLETE)
        if understanding.completion is Completion.COMPLETE:
            last = [span for span in heard.spans if span.end == len(heard.words)]
            if may_grow(understanding.slots, last, self._domain.slots):
                return replace(understanding, completion=Completion.PLAUSIBLE)
        return understanding

    def _hear(self, text: str, expecting: str | None) -> _Heard:
        words = tuple(normalize(spell_dates(text[:N_CHARACTERS_AT_MOST])).split())[:N_WORDS_AT_MOST]
        found = self._finder.find(words, today=self._today(), expected=expecting, known=self._known)
        spans = refused(found, words, text=text, added=self._added)
        return _Heard(text, words, spans, self._patterns.read(words, spans))

    def _as_command(self, heard: _Heard, expecting: str | None) -> Understanding | None:
        name = command(heard.words)
        if name is None or (heard.reading.matches and expecting != CONFIRM):
            return None
        goes_on = heard.reading.begun and expecting != CONFIRM  # "cancel" may become "cancel my prescription"
        completion = Completion.PLAUSIBLE if goes_on else Completion.COMPLETE
        return Understanding(heard.text, name, 1.0, source="command", completion=completion)

    def _as_expected(self, heard: _Heard, expecting: str | None, intent: str | None) -> Understanding | None:
        """The answer to what was just asked: a yes or no, or the value with little around it."""
        if expecting is None:
            return None
        if expecting == CONFIRM:
            return self._as_confirmation(heard, intent)
        slot = self._domain.slots.get(expecting)
        if slot is None:
            return None
        allowed = self._allowed.get(intent or "", frozenset()) | {expecting}
        spans = assign(heard.spans, heard.words, allowed=allowed, expected=expecting, cues=self._patterns.cues)
        answer = next((span for span in spans if span.slot == expecting), None)
        if answer is None or (not answer.value and answer.finished):
            return None
        if not answers(spans, heard.words, self._n_strange(heard, spans, intent)):
            return None
        completion = value_completion(slot, answer)
        confidence = 1.0 - max(span.cost for span in spans)
        return Understanding(heard.text, intent, confidence, _changes(spans), "slot", completion)

    def _as_confirmation(self, heard: _Heard, intent: str | None) -> Understanding | None:
        answer = confirmation(heard.words)
        changes = self._as_addition(heard, None, intent)
        if answer is None:
            return None
        if changes is not None:
            if answer == "no":  # "no, make it large": a correction is not a refusal
                return changes
            return replace(changes, slots={**changes.slots, CONFIRM: answer})
        if heard.reading.matches:
            return None
        completion = Completion.COMPLETE if command(heard.words) else Completion.PLAUSIBLE
        return Understanding(heard.text, answer, 1.0, {CONFIRM: answer}, "command", completion)

    def _as_pattern(self, heard: _Heard) -> Understanding | None:
        if not heard.reading.matches:
            return None
        match = heard.reading.matches[0]
        slots = _values(match.spans)
        completion = intent_completion(self._domain.intents[match.intent], tuple(slots), exact=True)
        return Understanding(heard.text, match.intent, max(0.0, 1.0 - match.cost), slots, "pattern", completion)

    def _as_addition(self, heard: _Heard, expecting: str | None, intent: str | None) -> Understanding | None:
        """More or other values for the intent in progress: "and with soy milk", "no, make it large"."""
        if intent not in self._allowed:
            return None
        spans = assign(
            heard.spans, heard.words, allowed=self._allowed[intent], expected=expecting, cues=self._patterns.cues
        )
        slots = _changes(spans)
        if not slots or not adds(spans, heard.words, self._n_strange(heard, spans, intent)):
            return None
        confidence = 1.0 - max(span.cost for span in spans)
        completion = Completion.COMPLETE if all(span.finished for span in spans) else Completion.INCOMPLETE
        return Understanding(heard.text, intent, confidence, slots, "slot", completion)

    def _by_meaning(self, heard: _Heard) -> Understanding:
        """By the sentence's vector: an intent, or an answer from the knowledge, or neither."""
        vector = self._encoder.encode([" ".join(heard.words)])[0]
        if self._joint is None:
            prediction = self._classifier.predict(vector)
        else:
            reading = self._joint.read(heard.words)
            prediction = reading.prediction.among(self._domain.intents)
            heard = replace(heard, spans=(*heard.spans, *self._misheard(heard, reading)))
        best = self._likeliest(heard, prediction)
        answer = self._knowledge.answer(heard.text, vector)
        thresholds = self._domain.thresholds
        if answer is not None and answer.confidence < thresholds.knowledge:
            answer = None
        if answer is not None and self._reader is not None:
            answer = self._read(self._reader, heard.text, vector, answer)
        meant = best if best is not None and best.confidence >= thresholds.intent else None
        if meant is not None and (answer is None or not self._gives_way(heard, meant, answer)):
            return meant
        if answer is not None:
            return _answered(heard, answer)
        completion = Completion.INCOMPLETE if heard.reading.begun else Completion.PLAUSIBLE
        return Understanding(heard.text, None, best.confidence if best else 0.0, completion=completion)

    def _read(self, reader: Reader, question: str, vector: NDArray[np.float32], answer: Answer) -> Answer | None:
        """The words that answer, as confident as the passage is; None where the reader finds none in the knowledge."""
        found = reader.read(question, self._knowledge.windows(question, vector, n=N_WINDOWS))
        if found is None:
            return None
        return Answer(spoken(found), self._knowledge.passages[found.passage], answer.confidence, found.sentence)

    def _misheard(self, heard: _Heard, reading: JointReading) -> Iterator[Span]:
        """Values where the joint model says that there is one, and none was found: misheard, or without their mark."""
        for tagged in reading.spans:
            found = any(
                (span.slot, span.finished) == (tagged.slot, True)
                and span.start <= tagged.start
                and span.end >= tagged.end
                for span in heard.spans
            )
            if not found and tagged.probability >= SURE_OF_TAG:
                yield from self._finder.read(tagged.slot, heard.words, tagged.start, tagged.end, today=self._today())

    def _gives_way(self, heard: _Heard, best: Understanding, answer: Answer) -> bool:
        """Whether an intent that is only weakly meant leaves the question to the knowledge."""
        intent = self._domain.intents[best.intent or ""]
        lacks = any(slot.required and slot.name not in best.slots for slot in intent.slots)
        if answer.confidence <= best.confidence:
            return False
        if best.slots and lacks and asks(heard.words):  # "do you have soy milk" orders nothing
            return True
        return best.confidence < STRONG_INTENT and (lacks or not best.slots)

    def _likeliest(self, heard: _Heard, prediction: Prediction) -> Understanding | None:
        """The intent that the head and the slots together speak for."""
        best: Understanding | None = None
        for name, probability in prediction.ranking[:3]:
            spans = assign(heard.spans, heard.words, allowed=self._allowed[name], cues=self._patterns.cues)
            share = probability / max(prediction.ranking[0][1], 1e-9)
            confidence = self._weighed(prediction.confidence * share, heard, spans, name)
            if best is None or confidence > best.confidence:
                slots = _values(spans)
                completion = intent_completion(self._domain.intents[name], tuple(slots), exact=False)
                if completion is Completion.COMPLETE and confidence < STRONG_INTENT:
                    completion = Completion.PLAUSIBLE
                best = Understanding(heard.text, name, confidence, slots, "classifier", completion)
        return best

    def _weighed(self, confidence: float, heard: _Heard, spans: Sequence[Span], intent: str) -> float:
        """The confidence after the slots have had their say."""
        if not self._allowed[intent] or not self._patterns.words[intent]:
            return confidence
        sure = [span for span in spans if span.finished and span.cost <= 0.2]
        covered = sum(span.end - span.start for span in sure) / len(heard.words)
        unexplained = self._n_strange(heard, spans, intent) / len(heard.words)
        needed = {slot.name for slot in self._domain.intents[intent].slots if slot.required}
        if asks(heard.words) and needed.isdisjoint(span.slot for span in sure):
            covered = 0.0  # "do you have soy milk" asks about a value, and orders nothing
        odds = math.log((confidence + 1e-6) / (1 - confidence + 1e-6))
        odds += FOR_COVERED * covered - AGAINST_UNEXPLAINED * max(0.0, unexplained - MAY_BE_UNEXPLAINED)
        odds -= AGAINST_NO_VALUE * bool(needed and not sure)
        return 1 / (1 + math.exp(-odds))

    def _n_strange(self, heard: _Heard, spans: Sequence[Span], intent: str | None) -> int:
        """How many words are neither in a value nor in the intent's own sentences nor empty of meaning."""
        slots = {span.slot for span in spans}
        replaced = [span for span in heard.spans if span.slot in slots and span.cost <= SURE]  # "small, no, large"
        inside = {at for span in [*spans, *replaced] for at in range(span.start, span.end)}
        plain = self._plain.get(intent or "", _PLAIN)
        return sum(at not in inside and word not in plain for at, word in enumerate(heard.words))


def _own_words(intent: Intent) -> frozenset[str]:
    """The words of an intent's questions, which its answers take up: "pick up" in "I'd pick it up on monday"."""
    questions = [*intent.confirm, *(question for slot in intent.slots for question in slot.ask)]
    return frozenset(word for question in questions for word in normalize(re.sub(r"{.*?}", " ", question)).split())


def _answered(heard: _Heard, answer: Answer) -> Understanding:
    return Understanding(
        heard.text,
        None,
        answer.confidence,
        source="knowledge",
        completion=Completion.PLAUSIBLE,
        answer=answer.text,
        answer_source=answer.passage.source,
        answer_sentence=answer.sentence,
    )


def _values(spans: Sequence[Span]) -> dict[str, str]:
    """The values that were given; a refused one is none."""
    return {span.slot: span.value for span in spans if span.finished and span.value}


def _changes(spans: Sequence[Span]) -> dict[str, str]:
    """The values for the intent in progress; an empty one takes away what it has."""
    return {span.slot: span.value for span in spans if span.finished}


def _fit(domain: Domain, encoder: Encoder) -> dict[str, NDArray[Any]]:
    """Embed the sentences and the knowledge, and fit the head; everything that the cache holds."""
    pairs = training_sentences(domain)
    spare = background()
    whole, windows = Knowledge.texts(domain.passages)
    passages = [*whole, *(f"{domain.passages[owner].heading}. {text}" for owner, text in windows)]
    vectors = encoder.encode([*(sentence for sentence, _ in pairs), *spare, *passages])
    own, rest = vectors[: len(pairs)], vectors[len(pairs) :]
    others, knowledge = rest[: len(spare)], rest[len(spare) :]
    in_scope = own[[name != OUT_OF_SCOPE for _, name in pairs]]
    if len(in_scope):
        others = others[(others @ in_scope.T).max(axis=1) < TOO_CLOSE]
    names = [name for _, name in pairs] + [OUT_OF_SCOPE] * len(others)
    classifier = IntentClassifier.fit(np.vstack([own, others]), names)
    return {**classifier.to_arrays(), "knowledge": knowledge}


def _key(domain: Domain, encoder: Encoder) -> str:
    made_from = (
        __version__,
        CACHE_VERSION,
        encoder.fingerprint,
        sorted(domain.intents.items()),
        sorted(domain.slots.items()),
        domain.out_of_scope_examples,
        Knowledge.texts(domain.passages),
        background(),
    )
    return hashlib.sha256(repr(made_from).encode()).hexdigest()[:32]


def _read(kept: Path) -> dict[str, NDArray[Any]] | None:
    """What `_write` wrote; None where there is nothing, or nothing whole."""
    try:
        with kept.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in ARRAYS}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _write(kept: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write so that the file appears whole or not at all; a full disk costs the cache, not the assistant."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            made = Path(scratch) / kept.name
            with made.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            made.replace(kept)
    except OSError:
        return
