"""What callers of a domain say: its patterns and examples, answers to its questions, its terms in other sentences."""

import random
import re
from collections.abc import Iterable, Sequence

from rejoinder.adapt.carriers import Style, as_written, framed
from rejoinder.domain import Domain, Slot, SlotKind
from rejoinder.domain.grammar import sample, slot_names
from rejoinder.domain.spoken_values import spoken_value
from rejoinder.text import normalize
from rejoinder.tts.verbalize import verbalize

SHARE_OF_ANSWERS = 0.15
"""Share of the sentences that answer a question with one value."""

SHARE_OF_FRAMES = 0.25
"""Share of the sentences that are none of the domain's, around one of its terms or values."""

N_EACH = 3
"""How often each term and each value of a slot is there, as far as the share of the frames goes; each is there once."""

_ANSWERS = ("{}", "{}", "{}", "{} please", "{} I think", "I'd like {}", "make it {}", "with {}", "the {}", "a {} one")
_N_FOR_ALL = 6  # of the answers' frames fit values of any kind
_HAS_ARTICLE = re.compile(r"(?:an?|the|some|one|two|three|plenty|lots|extra|with)\b")


def domain_sentences(domain: Domain, *, n: int, seed: int = 0, style: Style = Style.WRITTEN) -> tuple[str, ...]:
    """`n` sentences that callers of the domain say, written as a recognizer writes them, the same for the same seed.

    Six in ten are drawn from the intents' patterns and examples, the rest are answers of one value ("Large.", "With oat
    milk.") and terms in sentences that are no domain's, so that the recognizer does not collapse onto the patterns.
    Every term and every value of a slot is there (see `N_EACH`), unless there are more than `n` of them. A domain of
    few patterns and no values has fewer sentences.
    """
    rng = random.Random(f"domain {seed}")
    n_answers, n_framed = round(SHARE_OF_ANSWERS * n), round(SHARE_OF_FRAMES * n)
    values = _values(domain)
    texts = [*_from_intents(domain, n - n_answers - n_framed, rng), *_answers(domain, n_answers, rng)]
    framed_texts = _in_frames(values, texts, max(n_framed, n - len(texts)), rng)
    # Where frames outgrow their share, because not even once did all values occur, other sentences make room.
    rng.shuffle(texts)
    texts = [*texts[: max(0, n - len(framed_texts))], *framed_texts][:n]
    rng.shuffle(texts)
    names = [term.written for term in domain.terms]
    return tuple(as_written(_in_words(text, names), style, names=names) for text in texts)


def _values(domain: Domain) -> tuple[str, ...]:
    """Everything that has to be heard: terms and values of closed slots in the forms that callers use."""
    forms = [form for term in domain.terms for form in (term.written, *term.synonyms)]
    for slot in domain.slots.values():
        forms += [form for choice in slot.choices for form in choice.forms if form not in choice.sounds_like]
    by_sound: dict[str, str] = {}
    for form in forms:
        by_sound.setdefault(normalize(form), form)
    return tuple(form for sound, form in by_sound.items() if sound)


def _from_intents(domain: Domain, n: int, rng: random.Random) -> list[str]:
    """About `n` sentences of the intents: all examples, and patterns by how many slots they name."""
    intents = domain.intents.values()
    found = dict.fromkeys(example for intent in intents for example in intent.examples)
    weights = {pattern: 1 + len(slot_names(pattern)) for intent in intents for pattern in intent.patterns}
    while weights and len(found) < n:
        share, n_before = (n - len(found)) / sum(weights.values()), len(found)
        for pattern, weight in tuple(weights.items()):
            n_asked = max(1, round(weight * share))
            drawn = sample(pattern, domain.slots, n=n_asked, seed=rng.randrange(1 << 30))
            found.update(dict.fromkeys(drawn))
            if len(drawn) < n_asked:  # it has no more
                del weights[pattern]
        if len(found) == n_before:
            break
    texts = list(found)
    rng.shuffle(texts)
    return texts[:n]


def _answers(domain: Domain, n: int, rng: random.Random) -> list[str]:
    """What callers answer when they are asked for one thing."""
    asked = sorted({slot.name for intent in domain.intents.values() for slot in intent.slots} & domain.slots.keys())
    texts = []
    for i in range(n if asked else 0):
        slot = domain.slots[asked[i % len(asked)]]
        form = _form(slot, rng)
        takes_article = bool(slot.choices) and not _HAS_ARTICLE.match(form)
        texts.append(rng.choice(_ANSWERS if takes_article else _ANSWERS[:_N_FOR_ALL]).format(form))
    return texts


def _form(slot: Slot, rng: random.Random) -> str:
    if slot.kind is not SlotKind.CLOSED:
        return spoken_value(slot, rng).form
    choice = rng.choice(slot.choices)
    return rng.choice([form for form in choice.forms if form not in choice.sounds_like] or [choice.value])


def _in_frames(values: Sequence[str], texts: Iterable[str], n: int, rng: random.Random) -> list[str]:
    """`n` sentences of any domain around the values, those first that `texts` lacks; more where it lacks more."""
    if not values or n <= 0:
        return []
    sounds, said = [f" {normalize(value)} " for value in values], [f" {normalize(text)} " for text in texts]
    n_said = {value: sum(sound in text for text in said) for value, sound in zip(values, sounds, strict=True)}
    # One turn for each value that is still to come for the first time, then the second, the third; then everyone's.
    turns = [value for least in range(N_EACH) for value in rng.sample(values, len(values)) if n_said[value] <= least]
    n_lacking = sum(not count for count in n_said.values())
    while len(turns) < n:
        turns += rng.sample(values, len(values))
    turns = turns[: max(n, n_lacking)]
    n_turns: dict[str, int] = {}
    for value in turns:
        n_turns[value] = n_turns.get(value, 0) + 1
    return [text for value, count in n_turns.items() for text in framed(value, n=count, seed=rng.randrange(1 << 30))]


def _in_words(text: str, names: Sequence[str]) -> str:
    """Numbers written out, as the recognizers write them; a term that holds digits stays as it is."""
    if not re.search(r"\d", text) or any(name in text for name in names if re.search(r"\d", name)):
        return text
    return verbalize(text)
