"""The intents of domain.yaml: patterns, slots, templates and functions, each checked against the rest of the domain."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rejoinder.domain import Action, Intent, IntentSlot, Slot, templates
from rejoinder.domain.grammar import slot_names
from rejoinder.domain.schema import ActionEntry, DomainEntry, IntentEntry
from rejoinder.domain.source import KeyPath, Source, did_you_mean
from rejoinder.errors import DomainError
from rejoinder.text import normalize

_PHRASE = re.compile(r"(?<!\\)<([^<>]*)>")


def compile_intents(entry: DomainEntry, slots: Mapping[str, Slot], source: Source, folder: Path) -> dict[str, Intent]:
    """Compile every intent; what is wrong is added to `source.problems`."""
    compiler = _Intents(entry, slots, source, folder)
    intents = {name: compiler.intent(name, intent) for name, intent in entry.intents.items()}
    compiler.check_sentences()
    return intents


@dataclass(frozen=True, slots=True)
class _Intents:
    entry: DomainEntry
    slots: Mapping[str, Slot]
    source: Source
    folder: Path

    def intent(self, name: str, entry: IntentEntry) -> Intent:
        """One intent, checked."""
        path = ("intents", name)
        if not entry.patterns and not entry.examples:
            self.source.problem(path, f"intent '{name}' has neither 'patterns' nor 'examples'")
        if not entry.reply and not entry.ends:
            self.source.problem(path, f"intent '{name}' has no 'reply'")
        self._check_slots(name, entry)
        self._check_templates(name, entry)
        for key, function in (("compute", entry.compute), ("action", entry.action and entry.action.call)):
            if function:
                self._check_function(function, (*path, key))
        return Intent(
            name=name,
            patterns=tuple(self._patterns(name, entry)),
            examples=tuple(entry.examples),
            slots=tuple(IntentSlot(slot, part.required, tuple(part.ask)) for slot, part in entry.slots.items()),
            confirm=tuple(entry.confirm),
            replies=tuple(entry.reply),
            compute=entry.compute,
            action=self._action(name, entry.action) if entry.action else None,
            ends=entry.ends,
        )

    def check_sentences(self) -> None:
        """No example or pattern may stand for two intents."""
        owners: dict[str, tuple[str, KeyPath]] = {}
        for name, intent in self.entry.intents.items():
            for key, texts in (("patterns", intent.patterns), ("examples", intent.examples)):
                for n, text in enumerate(texts):
                    path = ("intents", name, key, n)
                    said = text if key == "patterns" else normalize(text)
                    other, first = owners.setdefault(said, (name, path))
                    if other != name:
                        what = f"'{text}' is said for both '{name}' and '{other}' ({self.source.mark(first)})"
                        self.source.problem(path, what)

    def _patterns(self, name: str, entry: IntentEntry) -> Iterator[str]:
        for n, pattern in enumerate(entry.patterns):
            path = ("intents", name, "patterns", n)
            try:
                whole = self._with_phrases(pattern)
                used = slot_names(whole)
            except DomainError as error:
                self.source.problem(path, str(error))
                continue
            for slot in used:
                if slot not in self._declared():
                    what = f"the pattern uses {{{slot}}}, which is not declared under 'slots'"
                    self.source.problem(path, f"{what} {did_you_mean(slot, self._declared())}")
                elif slot not in self._listed(name, entry):
                    what = f"the pattern uses {{{slot}}}, which intent '{name}' does not list under its 'slots'"
                    self.source.problem(path, what)
            yield whole

    def _with_phrases(self, pattern: str, inside: tuple[str, ...] = ()) -> str:
        """The pattern with each `<phrase>` written out."""

        def body(match: re.Match[str]) -> str:
            phrase = match[1]
            if phrase not in self.entry.phrases:
                choices = did_you_mean(phrase, list(self.entry.phrases))
                raise DomainError(f"the pattern uses <{phrase}>, which is not declared under 'phrases' {choices}")
            if phrase in inside:
                raise DomainError(f"phrases use each other in a circle: {' -> '.join((*inside, phrase))}")
            return f"({self._with_phrases(self.entry.phrases[phrase], (*inside, phrase))})"

        return _PHRASE.sub(body, pattern)

    def _declared(self) -> list[str]:
        """The slots of the file, those included that have problems of their own."""
        return self.source.names("slots")

    def _listed(self, name: str, entry: IntentEntry) -> list[str]:
        """The slots of an intent, those included that have problems of their own."""
        return list(dict.fromkeys((*entry.slots, *self.source.names("intents", name, "slots"))))

    def _check_slots(self, name: str, entry: IntentEntry) -> None:
        for slot, part in entry.slots.items():
            path = ("intents", name, "slots", slot)
            if slot not in self._declared():
                what = f"intent '{name}' lists the slot '{slot}', which is not declared under 'slots'"
                self.source.problem(path, f"{what} {did_you_mean(slot, self._declared())}")
            if part.required and not part.ask:
                self.source.problem(path, f"the required slot '{slot}' has no question; give it 'ask'")

    def _check_templates(self, name: str, entry: IntentEntry) -> None:
        """Templates may use the intent's slots and what its functions return, so far as `returns` says what that is."""
        path = ("intents", name)
        results = entry.returns or []
        open_before = entry.compute is not None and entry.returns is None
        open_after = open_before or (entry.action is not None and entry.returns is None)
        known = [*self._listed(name, entry), *results]
        for n, question in ((slot, text) for slot, part in entry.slots.items() for text in part.ask):
            check_template(self.source, question, (*path, "slots", n, "ask"), known, is_open=open_before)
        for text in entry.confirm:
            check_template(self.source, text, (*path, "confirm"), known, is_open=open_before)
        for text in entry.reply:
            check_template(self.source, text, (*path, "reply"), known, is_open=open_after)
        if entry.returns is not None and entry.compute is None and entry.action is None:
            self.source.problem((*path, "returns"), f"intent '{name}' has 'returns' but neither 'compute' nor 'action'")

    def _action(self, name: str, entry: ActionEntry) -> Action:
        path = ("intents", name, "action")
        if (entry.call is None) == (entry.webhook is None):
            self.source.problem(path, f"the action of intent '{name}' needs either 'call' or 'webhook'")
        failure = {"failure": entry.failure} if entry.failure else {}
        return Action(name, entry.call, entry.webhook, entry.timeout_s, **failure)

    def _check_function(self, function: str, path: KeyPath) -> None:
        module, _, name = function.partition(":")
        file = self.folder.joinpath(*module.split(".")).with_suffix(".py")
        if not file.is_file():
            modules = sorted(found.stem for found in self.folder.glob("*.py"))
            self.source.problem(path, f"'{function}': there is no {file} {did_you_mean(module, modules)}")
            return
        try:
            functions = _functions(file)
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or 1
            self.source.problem(
                path, f"'{function}': {file}:{line} is not valid Python: {getattr(error, 'msg', error)}"
            )
            return
        if name not in functions:
            self.source.problem(path, f"'{function}': {file} has no function '{name}' {did_you_mean(name, functions)}")


def _functions(file: Path) -> list[str]:
    """The functions that a module has, found without running it."""
    tree = ast.parse(file.read_bytes(), filename=str(file))
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    imported = [
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    return [*defined, *imported]


def check_template(source: Source, text: str, path: KeyPath, known: list[str], *, is_open: bool = False) -> None:
    """Report a template that is malformed, or that uses a name besides those `known` (unless it `is_open`)."""
    try:
        used = templates.names(text)
    except DomainError as error:
        source.problem(path, str(error))
        return
    for name in sorted(used.difference(known)):
        if not is_open:
            source.problem(path, f"the template uses {{{name}}}, which is unknown here {did_you_mean(name, known)}")
