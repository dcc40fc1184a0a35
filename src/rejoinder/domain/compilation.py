"""From the entries of domain.yaml to the immutable `Domain`, noting whatever contradicts itself on the way."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path

from rejoinder.domain import Choice, Domain, LlmSettings, Models, Passage, Replies, Slot, SlotKind, Term, Thresholds
from rejoinder.domain.grammar import MARKS, sentences
from rejoinder.domain.intents import check_template, compile_intents
from rejoinder.domain.knowledge import read_passages
from rejoinder.domain.schema import DomainEntry, SlotEntry, ValueEntry
from rejoinder.domain.source import KeyPath, Source, did_you_mean, files_matching
from rejoinder.errors import DomainError
from rejoinder.model_table import Role, named
from rejoinder.text import normalize

MOST_VALUES = 2000
"""Values that one entry may expand to; more is a mistake in its brackets."""

MOST_FORMS = 300
"""Forms of one value, when the synonyms of its parts are multiplied."""


def compile_domain(entry: DomainEntry, source: Source, folder: Path) -> Domain:
    """Compile the whole file. What is wrong is added to `source.problems`; the result is then not to be used."""
    if not entry.intents and not entry.knowledge:
        source.problem((), "the domain is empty: it needs 'intents', 'knowledge' or both")
    terms = _terms(entry, source)
    slots = {name: _slot(name, slot, terms, source) for name, slot in entry.slots.items()}
    models = entry.models.model_dump()
    if entry.voice is not None:
        if "voice" in entry.models.model_fields_set:
            source.problem(("voice",), "'voice' is given twice (the other one is in 'models')")
        models["voice"] = entry.voice
    _check_models(models, entry, source)
    return Domain(
        name=entry.name or folder.resolve().name,
        folder=folder,
        language=entry.language,
        description=entry.description,
        models=Models(**models),
        terms=terms,
        slots=slots,
        intents=compile_intents(entry, slots, source, folder),
        replies=_replies(entry, source),
        passages=tuple(_passages(entry, source, folder)),
        thresholds=Thresholds(**entry.thresholds.model_dump()),
        out_of_scope_examples=tuple(entry.out_of_scope),
        llm=LlmSettings(**entry.llm.model_dump() | {"topics": tuple(entry.llm.topics)}) if entry.llm else None,
    )


def _check_models(models: Mapping[str, str], entry: DomainEntry, source: Source) -> None:
    """Names must be in the model table; a source (`file:…`) is looked for when the models are loaded."""
    for role, name in models.items():
        choices = named(Role(role))
        if ":" not in name and name not in choices:
            path = ("voice",) if role == "voice" and entry.voice is not None else ("models", role)
            source.problem(path, f"unknown {role} '{name}' {did_you_mean(name, choices)}")


def _expanded(pattern: str, path: KeyPath, source: Source) -> list[str]:
    """Every text that a value or a synonym stands for: `(20|twenty) ounce` is two."""
    if not MARKS.search(pattern):
        return [pattern]
    try:
        found = list(dict.fromkeys(islice(sentences(pattern), MOST_VALUES + 1)))
    except DomainError as error:
        source.give_up(path, str(error))
        return []
    if len(found) > MOST_VALUES:
        source.give_up(path, f"'{pattern}' stands for more than {MOST_VALUES} values")
        return []
    return [text for text in found if text]


def _all_expanded(patterns: Sequence[str], path: KeyPath, source: Source) -> tuple[str, ...]:
    return tuple(text for n, pattern in enumerate(patterns) for text in _expanded(pattern, (*path, n), source))


def _terms(entry: DomainEntry, source: Source) -> tuple[Term, ...]:
    """The terms, and those that values with a pronunciation bring along."""
    terms: list[Term] = []
    paths: list[KeyPath] = []
    for n, item in enumerate(entry.terms):
        synonyms = _all_expanded(item.synonyms, ("terms", n, "synonyms"), source)
        terms.append(Term(item.written, item.spoken, tuple(item.sounds_like), item.type, synonyms))
        paths.append(("terms", n))
    for name, slot in entry.slots.items():
        for n, value in enumerate(slot.values):
            if value.spoken is not None or value.sounds_like:
                terms.append(Term(value.value, value.spoken, tuple(value.sounds_like)))
                paths.append(("slots", name, "values", n))
    _check_terms(terms, paths, source)
    return tuple(terms)


def _check_terms(terms: Sequence[Term], paths: Sequence[KeyPath], source: Source) -> None:
    """No term twice, and no synonym that is another term, or another term's synonym, of the same type."""
    owners: dict[tuple[str | None, str], int] = {}
    written: dict[str, int] = {}
    for n, term in enumerate(terms):
        first = written.setdefault(term.written.casefold(), n)
        if first != n:
            source.problem(paths[n], f"the term '{term.written}' is given twice (first at {source.mark(paths[first])})")
        else:
            owners[term.type, normalize(term.written)] = n
    for n, term in enumerate(terms):
        for form in (*term.synonyms, *term.sounds_like):
            first = owners.setdefault((term.type, normalize(form)), n)
            if terms[first].written.casefold() != term.written.casefold():
                other = f"'{terms[first].written}' ({source.mark(paths[first])})"
                source.problem(paths[n], f"'{form}' stands for both '{term.written}' and {other}")


def _slot(name: str, entry: SlotEntry, terms: Sequence[Term], source: Source) -> Slot:
    path = ("slots", name)
    _check_slot_keys(name, entry, source)
    choices: dict[str, Choice] = {}
    if entry.kind is SlotKind.CLOSED:
        vocabulary = _Vocabulary.of(entry, terms)
        for n, value in enumerate(entry.values):
            for choice in _choices(value, (*path, "values", n), vocabulary, source):
                if choice.value in choices:
                    source.problem((*path, "values", n), f"the value '{choice.value}' is given twice in slot '{name}'")
                choices.setdefault(choice.value, choice)
        typed = [term for term in terms if entry.type is not None and term.type == entry.type]
        if entry.type is not None and not typed:
            types = sorted({term.type for term in terms if term.type})
            source.problem((*path, "type"), f"no term has the type '{entry.type}' {did_you_mean(entry.type, types)}")
        for term in typed:
            choices.setdefault(term.written, vocabulary.choice(term.written))
        if not choices:
            source.problem(path, f"slot '{name}' has no values: give it 'values', a 'type' of terms, or an open 'kind'")
        _check_forms(name, choices.values(), source)
    return Slot(name, entry.kind, tuple(choices.values()), entry.min, entry.max, tuple(entry.lengths))


def _check_slot_keys(name: str, entry: SlotEntry, source: Source) -> None:
    """Each kind has keys of its own, and bounds are in order."""
    bounded = entry.kind in (SlotKind.NUMBER, SlotKind.MONEY)
    given = {
        "values": entry.values and entry.kind is not SlotKind.CLOSED,
        "type": entry.type and entry.kind is not SlotKind.CLOSED,
        "synonyms": entry.synonyms and entry.kind is not SlotKind.CLOSED,
        "min": entry.min is not None and not bounded,
        "max": entry.max is not None and not bounded,
        "lengths": entry.lengths and entry.kind not in (SlotKind.CODE, SlotKind.PHONE),
    }
    for key in (key for key, misplaced in given.items() if misplaced):
        source.problem(("slots", name, key), f"slot '{name}' is of the kind '{entry.kind}', which has no '{key}'")
    if entry.min is not None and entry.max is not None and entry.min > entry.max:
        source.problem(("slots", name, "min"), f"'min' {entry.min:g} is above 'max' {entry.max:g} in slot '{name}'")


def _choices(value: ValueEntry, path: KeyPath, vocabulary: "_Vocabulary", source: Source) -> Iterator[Choice]:
    canonical = _expanded(value.value, path, source)
    if len(canonical) > 1 and (value.synonyms or value.sounds_like or value.spoken):
        what = f"'{value.value}' stands for {len(canonical)} values, so it cannot have forms of its own"
        source.give_up(path, f"{what}; put synonyms of its parts under the slot's 'synonyms', or write them as terms")
        return
    for text in canonical:
        yield vocabulary.choice(text, _all_expanded(value.synonyms, (*path, "synonyms"), source))


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """What else callers say (`synonyms`), and recognizers write (`misheard`), for parts of a slot's values."""

    synonyms: "_Alternatives"
    misheard: "_Alternatives"

    @classmethod
    def of(cls, slot: SlotEntry, terms: Sequence[Term]) -> "_Vocabulary":
        """The slot's own synonyms of parts with those of every term."""
        synonyms: dict[str, tuple[str, ...]] = {part: tuple(other) for part, other in slot.synonyms.items()}
        for term in terms:
            synonyms[term.written] = (*synonyms.get(term.written, ()), *term.synonyms)
        return cls(_Alternatives(synonyms), _Alternatives({term.written: term.sounds_like for term in terms}))

    def choice(self, value: str, synonyms: Sequence[str] = ()) -> Choice:
        """A value with all its forms: one more for each synonym of it or of a part of it, and what these sound like."""
        said = list(dict.fromkeys(form for text in (value, *synonyms) for form in self.synonyms.of(text)))
        heard = dict.fromkeys(form for text in said for form in self.misheard.of(text))
        sounds_like = tuple(form for form in heard if form not in said)
        return Choice(value, (*said, *sounds_like), sounds_like)


class _Alternatives:
    """Other words for parts of texts."""

    def __init__(self, parts: Mapping[str, Sequence[str]]) -> None:
        self._parts = {part: others for part, others in parts.items() if others}
        # Thousands of terms meet thousands of values: only the parts that begin with a word of the text are looked at.
        self._by_word: dict[str, list[str]] = defaultdict(list)
        for part in self._parts:
            self._by_word[next(iter(_words(part)), "")].append(part)

    def of(self, text: str) -> list[str]:
        """`text` first, then with each of its parts replaced by each of its alternatives, in every combination."""
        found = [text]
        inside = {part for word in (*_words(text), "") for part in self._by_word.get(word, ())}
        # Longer parts first: once "skim milk" became "skimmed milk", a synonym of "milk" still applies, but not before.
        for part in sorted(inside, key=lambda part: (-len(part), part)):
            word = re.compile(rf"(?<!\w){re.escape(part)}(?!\w)", re.IGNORECASE)
            replaced = [
                _replaced(word, other, form) for form in found for other in self._parts[part] if word.search(form)
            ]
            found = list(dict.fromkeys(found + replaced))[:MOST_FORMS]
        return found


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _replaced(word: re.Pattern[str], other: str, form: str) -> str:
    return word.sub(lambda _: other, form)


def _check_forms(name: str, choices: Collection[Choice], source: Source) -> None:
    owners: dict[str, str] = {}
    for choice in choices:
        owners.setdefault(normalize(choice.value), choice.value)
    for choice in choices:
        for form in choice.forms:
            first = owners.setdefault(normalize(form), choice.value)
            if first != choice.value:
                what = f"'{form}' stands for both '{choice.value}' and '{first}' in slot '{name}'"
                source.problem(("slots", name), what)


def _replies(entry: DomainEntry, source: Source) -> Replies:
    known = [field.name for field in fields(Replies)]
    for key in entry.replies:
        if key not in known:
            source.problem(("replies", key), f"unknown reply '{key}' {did_you_mean(key, known)}")
        elif not entry.replies[key]:
            source.problem(("replies", key), f"the reply '{key}' is empty")
        for text in entry.replies[key]:
            check_template(source, text, ("replies", key), ["question"] if key in ("again", "resume") else [])
    return Replies(**{key: tuple(texts) for key, texts in entry.replies.items() if key in known and texts})


def _passages(entry: DomainEntry, source: Source, folder: Path) -> Iterator[Passage]:
    seen: set[Path] = set()
    for n, pattern in enumerate(entry.knowledge):
        files = files_matching(pattern, folder)
        if not files:
            source.problem(("knowledge", n), f"no file matches '{pattern}' in {folder}")
        for path in files:
            if path not in seen:
                seen.add(path)
                try:
                    yield from read_passages(path, name=path.relative_to(folder).as_posix())
                except DomainError as error:
                    source.problem(("knowledge", n), str(error))
