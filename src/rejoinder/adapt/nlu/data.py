"""Sentences to train on, as the assistant hears them: normalised words, a slot's tag on each, and what is meant."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rejoinder.adapt.carriers import general_sentences
from rejoinder.adapt.nlu.alignment import carry
from rejoinder.adapt.sets import LEAST_SENTENCES
from rejoinder.domain import Domain, Intent
from rejoinder.domain.grammar import TaggedSentence, sample_tagged
from rejoinder.domain.spoken_values import REFERENCE_DAY
from rejoinder.nlu.classifier import OUT_OF_SCOPE
from rejoinder.nlu.encoder import Encoder
from rejoinder.nlu.joint import BEGIN, INSIDE, OUTSIDE
from rejoinder.nlu.slots import SlotFinder, assign
from rejoinder.nlu.training import background
from rejoinder.nlu.understand import TOO_CLOSE
from rejoinder.text import normalize

GENERAL_SHARE = 0.2
"""Everyday sentences out of scope beside those of the domain."""

N_TEST_SENTENCES = 200
"""Sentences that are spoken, heard and measured on; none of them is trained on."""

N_COMPARED = 200
"""Sentences of the domain that everyday ones are compared with."""


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence in normalised words, one tag for each (`O`, `B-size`, `I-size`), and its intent."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    intent: str
    """`OUT_OF_SCOPE` for what belongs to no intent."""
    values: tuple[tuple[str, str], ...] = ()
    """The slots in it with their canonical values, sorted."""

    @classmethod
    def plain(cls, text: str, intent: str) -> "Example":
        """A sentence without slots."""
        words = tuple(normalize(text).split())
        return cls(words, (OUTSIDE,) * len(words), intent)

    @classmethod
    def tagged(cls, sentence: TaggedSentence, intent: str) -> "Example":
        """A sentence of a pattern; a tag that begins or ends inside a word takes the whole of it."""
        words: list[str] = []
        tags: list[str] = []
        at = 0
        for tag in (*sorted(sentence.tags, key=lambda tag: tag.start), None):
            between = normalize(sentence.text[at : tag.start if tag else None]).split()
            words += between
            tags += [OUTSIDE] * len(between)
            if tag is None:
                break
            inside = normalize(sentence.text[tag.start : tag.end]).split()
            words += inside
            tags += bio(tag.slot, len(inside))
            at = tag.end
        whole = tuple(normalize(sentence.text).split())
        # Normalised piece by piece, a word may read otherwise ("20 mg" cut in two): the whole sentence's words count.
        own_tags = tuple(tags) if tuple(words) == whole else carry(words, tags, whole)
        return cls(whole, own_tags, intent, tuple(sorted(sentence.slots.items())))

    @property
    def text(self) -> str:
        """The words as one text."""
        return " ".join(self.words)


def bio(slot: str, n_words: int) -> list[str]:
    """The tags of a value of so many words."""
    return [f"{BEGIN}{slot}", *[f"{INSIDE}{slot}"] * (n_words - 1)][:n_words]


def domain_examples(domain: Domain, *, n: int, seed: int = 0, encoder: Encoder | None = None) -> tuple[Example, ...]:
    """About `n` sentences of a domain's patterns and examples, each once, and what is out of its scope.

    Every intent gets the same share of `n`, and every pattern of an intent the same share of that. Out of scope are the
    domain's own sentences for no intent, and everyday ones (`GENERAL_SHARE` of `n`, and Rejoinder's list) but for those
    that mean nearly what a sentence in scope does by `encoder` (None: the packaged one).
    """
    n_each = max(1, n // max(1, len(domain.intents)))
    own = [example for intent in domain.intents.values() for example in _of_intent(domain, intent, n_each, seed)]
    everyday = (*background(), *general_sentences(round(GENERAL_SHARE * n), seed))
    others = _far_from(own, [Example.plain(text, OUT_OF_SCOPE) for text in everyday], encoder or Encoder.load())
    declared = [Example.plain(text, OUT_OF_SCOPE) for text in domain.out_of_scope_examples]
    by_text: dict[str, Example] = {}
    for example in (*own, *declared, *others):
        if example.words:
            by_text.setdefault(example.text, example)
    return tuple(by_text.values())


def _far_from(own: Sequence[Example], others: Sequence[Example], encoder: Encoder) -> list[Example]:
    """Those of `others` that are no near miss of one of the domain's sentences: "turn off the lights" may be one."""
    compared = own[:: max(1, len(own) // N_COMPARED)]
    if not compared:
        return list(others)
    vectors = encoder.encode([example.text for example in (*compared, *others)])
    nearest = (vectors[len(compared) :] @ vectors[: len(compared)].T).max(axis=1)
    return [example for example, cosine in zip(others, nearest, strict=True) if cosine < TOO_CLOSE]


def _of_intent(domain: Domain, intent: Intent, n: int, seed: int) -> Iterator[Example]:
    finder = SlotFinder(domain.slots)
    for text in intent.examples:
        yield _with_found_slots(Example.plain(text, intent.name), intent, finder)
    for pattern in intent.patterns:
        for sentence in sample_tagged(pattern, domain.slots, n=max(2, n // len(intent.patterns)), seed=seed):
            yield Example.tagged(sentence, intent.name)


def _with_found_slots(example: Example, intent: Intent, finder: SlotFinder) -> Example:
    """The values that stand in an example word for word; who writes one does not mark them."""
    allowed = frozenset(slot.name for slot in intent.slots)
    found = [span for span in finder.find(example.words, today=REFERENCE_DAY) if span.finished and not span.cost]
    tags = [*example.tags]
    spans = assign(found, example.words, allowed=allowed)
    for span in spans:
        tags[span.start : span.end] = bio(span.slot, span.end - span.start)
    return replace(example, tags=tuple(tags), values=tuple(sorted((span.slot, span.value) for span in spans)))


def split(
    examples: Sequence[Example], *, share: float, seed: int = 0
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Part `examples` into the rest and `share` of each intent, at random; an intent with one example keeps it."""
    rng = random.Random(seed)
    kept: list[Example] = []
    held_out: list[Example] = []
    for _, group in groupby(sorted(examples, key=lambda one: one.intent), key=lambda one: one.intent):
        own = list(group)
        rng.shuffle(own)
        n_out = min(len(own) - 1, round(share * len(own)))
        held_out += own[:n_out]
        kept += own[n_out:]
    return tuple(kept), tuple(held_out)


def unseen_sentences(domain: Domain, written: Sequence[Example], *, seed: int) -> tuple[Example, ...]:
    """Sentences in scope to measure on that are not among `written`; where there are too few, some that are.

    Those are at least said by other voices than in training.
    """
    seen = {example.words for example in written}
    others = in_scope(domain_examples(domain, n=2 * N_TEST_SENTENCES, seed=seed))
    unseen = spread([example for example in others if example.words not in seen], N_TEST_SENTENCES)
    return (*unseen, *spread(in_scope(written), max(0, LEAST_SENTENCES - len(unseen))))


def in_scope(examples: Sequence[Example]) -> list[Example]:
    """Those that belong to an intent."""
    return [example for example in examples if example.intent != OUT_OF_SCOPE]


def spread(examples: Sequence[Example], n: int) -> tuple[Example, ...]:
    """At most `n` of the examples, from all over."""
    if len(examples) <= n:
        return tuple(examples)
    return tuple(examples[at * len(examples) // n] for at in range(n))
