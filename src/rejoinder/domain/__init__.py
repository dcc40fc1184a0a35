"""A domain folder, compiled: everything that the owner's business adds to the models, as immutable data.

`reading.py` reads and validates the YAML; what it returns are the dataclasses here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class SlotKind(StrEnum):
    """How a slot's value is found in what was said."""

    CLOSED = "closed"
    """One of the values that the domain lists."""
    NUMBER = "number"
    DATE = "date"
    TIME = "time"
    MONEY = "money"
    PHONE = "phone"
    CODE = "code"
    """Spelled letters and digits."""
    YES_NO = "yes_no"


@dataclass(frozen=True, slots=True)
class Term:
    """A word or phrase of the business; one entry feeds every stage.

    `spoken` is how to say it: a respelling ("zuh-REL-toe") or IPA between slashes ("/zəˈɹɛltoʊ/"). `sounds_like` are
    spellings that a recognizer makes of it ("czar alto").
    """

    written: str
    spoken: str | None = None
    sounds_like: tuple[str, ...] = ()
    type: str | None = None
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One canonical value of a closed slot with every form that callers use for it, the value itself first."""

    value: str
    forms: tuple[str, ...]
    sounds_like: tuple[str, ...] = ()
    """The forms that no caller says but a recognizer writes; they stand in `forms` too."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Something the assistant needs to know.

    `min` and `max` bound a number or an amount; `lengths` are the numbers of characters that a code or a phone number
    may have (empty: any).
    """

    name: str
    kind: SlotKind
    choices: tuple[Choice, ...] = ()
    min: float | None = None
    max: float | None = None
    lengths: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class IntentSlot:
    """A slot's part in one intent: whether it is needed, and the questions that ask for it."""

    name: str
    required: bool = False
    ask: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """What happens once a turn is committed: `call` ("module:function" in the domain folder) or `webhook` (a URL).

    `failure` is spoken when it raises or takes longer than `timeout_s`.
    """

    name: str
    call: str | None = None
    webhook: str | None = None
    timeout_s: float = 3.0
    failure: str = "Sorry, that did not work just now."


@dataclass(frozen=True, slots=True)
class Intent:
    """One thing that callers want.

    `patterns` are hassil templates (`[optional] (a|b) {slot}`), `examples` plain sentences. `compute`
    ("module:function") is a pure function of the slots whose returned mapping joins them in templates; it may run in a
    draft. `action` has side effects and runs only after commit; a mapping that it returns joins the slots in `replies`.
    Templates may hold `{slot}` and optional parts in brackets, which vanish when a slot inside has no value.
    """

    name: str
    patterns: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    slots: tuple[IntentSlot, ...] = ()
    confirm: tuple[str, ...] = ()
    replies: tuple[str, ...] = ()
    compute: str | None = None
    action: Action | None = None
    ends: str | None = None
    """"hangup" or "transfer": what becomes of the call after the reply."""


@dataclass(frozen=True, slots=True)
class Replies:
    """What the assistant says in the situations that every domain has; each may be overridden in domain.yaml."""

    greeting: tuple[str, ...] = ("Hello, how can I help?",)
    out_of_scope: tuple[str, ...] = ("Sorry, I can't help with that.",)
    not_understood: tuple[str, ...] = ("Sorry, I didn't catch that. Could you say it again?",)
    cancelled: tuple[str, ...] = ("All right, cancelled. What else can I do?",)
    declined: tuple[str, ...] = ("All right. What would you like to change?",)
    nothing_to_repeat: tuple[str, ...] = ("I haven't said anything yet.",)
    transfer: tuple[str, ...] = ("I'll put you through to a person.",)
    idle: tuple[str, ...] = ("Are you still there?",)
    goodbye: tuple[str, ...] = ("Goodbye.",)
    thanks: tuple[str, ...] = ("You're welcome.",)
    help: tuple[str, ...] = ("Say what you need in your own words, or say repeat, cancel, or talk to a person.",)
    nothing_to_cancel: tuple[str, ...] = ("There is nothing left to cancel. What can I do for you?",)
    again: tuple[str, ...] = ("Sorry, I didn't get that. {question}",)
    """When the answer to a question was not understood; `{question}` is that question."""
    resume: tuple[str, ...] = ("So, {question}",)
    """After something else was answered in the middle of a question; `{question}` is that question."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of the knowledge: what stands under one heading of a Markdown file."""

    source: str
    """File and heading: "knowledge/refills.md#Transfers"."""
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When to believe the models, each in [0, 1]."""

    intent: float = 0.5
    """Least calibrated confidence of an intent; below it, the words are out of scope."""
    knowledge: float = 0.55
    """Least confidence of an answer from the knowledge."""


@dataclass(frozen=True, slots=True)
class LlmSettings:
    """An optional language model behind an OpenAI-compatible URL, for what no intent and no knowledge answers."""

    url: str
    model: str
    key_env: str | None = None
    """Environment variable that holds the key, if the server wants one."""
    instructions: str = "Answer the caller in one or two short spoken sentences."
    budget_s: float = 1.5
    """Seconds until the first words; after that the domain's own reply is spoken."""
    topics: tuple[str, ...] = ()
    """What it may talk about, as plain descriptions; anything else gets the out-of-scope reply."""


@dataclass(frozen=True, slots=True)
class Models:
    """Names from the model table (`rejoinder models`)."""

    recognizer: str = "moonshine-tiny"
    encoder: str = "minilm-int8"
    voice: str = "hibari"


@dataclass(frozen=True, slots=True)
class Domain:
    """Everything in a domain folder, ready for every stage."""

    name: str
    folder: Path
    language: str = "en"
    description: str = ""
    models: Models = field(default_factory=Models)
    terms: tuple[Term, ...] = ()
    slots: Mapping[str, Slot] = field(default_factory=dict)
    intents: Mapping[str, Intent] = field(default_factory=dict)
    replies: Replies = field(default_factory=Replies)
    passages: tuple[Passage, ...] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)
    out_of_scope_examples: tuple[str, ...] = ()
    """Sentences that callers say and no intent covers."""
    llm: LlmSettings | None = None

    @classmethod
    def load(cls, folder: str | Path) -> "Domain":
        """Read and validate a domain folder (or its domain.yaml); raises `DomainError` with file and line."""
        from rejoinder.domain.reading import read_domain

        return read_domain(Path(folder))
