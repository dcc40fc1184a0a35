"""The keys of domain.yaml, as pydantic models: their types and short forms, nothing that needs a second key to check.

A short form ("a plain string will do") is unfolded before validation, so that an error always points to the key that
the owner wrote, never to a branch of a union.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from rejoinder.domain import LlmSettings, Models, SlotKind, Thresholds


def _one_or_many(value: object) -> object:
    """`"a"` means `["a"]`, and a key with nothing after it means an empty list."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


def _nothing_is_empty(value: object) -> object:
    """A key with nothing after it means an empty mapping."""
    return {} if value is None else value


Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], BeforeValidator(_one_or_many)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+")]
Callable = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Entry(BaseModel):
    """What every part of domain.yaml has in common: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class TermEntry(Entry):
    """A word or phrase of the business; a plain string is its written form."""

    written: Text
    spoken: Text | None = None
    sounds_like: Texts = []
    type: Name | None = None
    synonyms: Texts = []

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, value: object) -> object:
        return {"written": value} if isinstance(value, str) else value


class ValueEntry(Entry):
    """A value of a closed slot; a plain string is the value. It may expand: `[dark|light] roast`."""

    value: Text
    spoken: Text | None = None
    sounds_like: Texts = []
    synonyms: Texts = []

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, value: object) -> object:
        return {"value": value} if isinstance(value, str) else value


class SlotEntry(Entry):
    """Something to find out; a plain list is its values, a plain string its kind."""

    kind: SlotKind = SlotKind.CLOSED
    values: Annotated[list[ValueEntry], BeforeValidator(_one_or_many)] = []
    type: Name | None = None
    synonyms: Annotated[dict[Text, Texts], BeforeValidator(_nothing_is_empty)] = {}
    min: float | None = None
    max: float | None = None
    lengths: Annotated[list[Annotated[int, Field(ge=1)]], BeforeValidator(_one_or_many)] = []

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, value: object) -> object:
        if value is None or isinstance(value, list):
            return {"values": value}
        return {"kind": value} if isinstance(value, str) else value


class IntentSlotEntry(Entry):
    """A slot's part in an intent; nothing makes it optional, a plain question makes it required."""

    required: bool = False
    ask: Texts = []

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, value: object) -> object:
        if value is None:
            return {}
        return {"required": True, "ask": [value]} if isinstance(value, str) else value


class ActionEntry(Entry):
    """What an intent does: a plain string is the function to call."""

    call: Callable | None = None
    webhook: Url | None = None
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    failure: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, value: object) -> object:
        return {"call": value} if isinstance(value, str) else value


def _slots_of_intent(value: object) -> object:
    """`[size, roast]` means two optional slots."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return dict.fromkeys(value)
    return _nothing_is_empty(value)


class IntentEntry(Entry):
    """One thing that callers want."""

    patterns: Texts = []
    examples: Texts = []
    slots: Annotated[dict[Name, IntentSlotEntry], BeforeValidator(_slots_of_intent)] = {}
    confirm: Texts = []
    reply: Texts = []
    compute: Callable | None = None
    action: ActionEntry | None = None
    returns: Annotated[list[Name], BeforeValidator(_one_or_many)] | None = None
    ends: Literal["hangup", "transfer"] | None = None


class ModelsEntry(Entry):
    """Names from the model table."""

    recognizer: Text = Models().recognizer
    encoder: Text = Models().encoder
    voice: Text = Models().voice


class ThresholdsEntry(Entry):
    """When to believe the models."""

    intent: Share = Thresholds().intent
    knowledge: Share = Thresholds().knowledge


class LlmEntry(Entry):
    """An optional language model behind an OpenAI-compatible URL."""

    url: Url
    model: Text
    key_env: Name | None = None
    instructions: Text = LlmSettings(url="", model="").instructions
    budget_s: Annotated[float, Field(gt=0, le=60)] = LlmSettings(url="", model="").budget_s
    topics: Texts = []


class DomainEntry(Entry):
    """The whole of domain.yaml, its includes merged in."""

    name: Text | None = None
    description: str = ""
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,4})?$")] = "en"
    voice: Text | None = None
    models: Annotated[ModelsEntry, BeforeValidator(_nothing_is_empty)] = ModelsEntry()
    phrases: Annotated[dict[Name, Text], BeforeValidator(_nothing_is_empty)] = {}
    terms: Annotated[list[TermEntry], BeforeValidator(_one_or_many)] = []
    slots: Annotated[dict[Name, SlotEntry], BeforeValidator(_nothing_is_empty)] = {}
    intents: Annotated[dict[Name, IntentEntry], BeforeValidator(_nothing_is_empty)] = {}
    replies: Annotated[dict[str, Texts], BeforeValidator(_nothing_is_empty)] = {}
    knowledge: Texts = []
    thresholds: Annotated[ThresholdsEntry, BeforeValidator(_nothing_is_empty)] = ThresholdsEntry()
    out_of_scope: Texts = []
    llm: LlmEntry | None = None


def known_keys(path: tuple[str | int, ...], schema: type[Entry] = DomainEntry) -> list[str]:
    """The keys that may stand at `path`, for the message about one that may not."""
    at: Any = schema
    for part in path:
        if isinstance(at, type) and issubclass(at, BaseModel):
            at = at.model_fields[str(part)].annotation
            at = next((arg for arg in get_args(at) if arg is not type(None)), at) if type(None) in get_args(at) else at
        else:
            at = get_args(at)[-1]
    fields = list(at.model_fields) if isinstance(at, type) and issubclass(at, BaseModel) else []
    return fields if path else [*fields, "include"]
