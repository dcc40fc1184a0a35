"""What a Realtime client may send, checked at the door, and the session's settings that it may change.

Unknown fields and values are refused rather than guessed at. Settings that only a language model could follow
(`instructions`, `temperature` and the like) are taken and echoed, and change nothing: the domain answers. What the
server does its own way (`prefix_padding_ms`, the output's `speed`) is echoed as it really is.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
)

from rejoinder.serve.realtime.audio import Encoding
from rejoinder.turns import PRE_ROLL_S, TurnOptions

ServerEvent: TypeAlias = dict[str, Any]
"""One event for the client, ready for JSON; the tests hold each against the models of OpenAI's own SDK."""


class RefusedError(Exception):
    """A client's event that cannot be followed; becomes an `error` event, and the connection lives on."""

    def __init__(self, message: str, *, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


PREFIX_PADDING_MS = round(1000 * PRE_ROLL_S)
"""Audio before speech that is recognized with it; it cannot be changed."""

SILENCE_MS = (200, 5000)
"""Shortest and longest silence that a client may fix as the end of a turn."""


def _within_bounds(silence_ms: int | None) -> int | None:
    return None if silence_ms is None else min(max(silence_ms, SILENCE_MS[0]), SILENCE_MS[1])


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PcmFormat(_Wire):
    """16-bit PCM; there is only the one rate."""

    type: Literal["audio/pcm"]
    rate: Literal[24000] = 24000


class G711Format(_Wire):
    """Mu-law and A-law."""

    type: Literal["audio/pcmu", "audio/pcma"]
    rate: Literal[8000] | None = Field(default=None, exclude=True)


Format: TypeAlias = Annotated[PcmFormat | G711Format, Field(discriminator="type")]


class ServerVad(_Wire):
    """The session's own turn taking, until the client fixes the silence that ends a turn."""

    type: Literal["server_vad"] = "server_vad"
    create_response: bool | None = True
    interrupt_response: bool | None = True
    idle_timeout_ms: int | None = Field(default=None, ge=5000, le=30000)
    prefix_padding_ms: Annotated[int | None, AfterValidator(lambda _: PREFIX_PADDING_MS)] = PREFIX_PADDING_MS
    silence_duration_ms: Annotated[int | None, AfterValidator(_within_bounds)] = None
    """None: as long as the words and the voice before it suggest."""
    threshold: Annotated[float | None, Field(ge=0, le=1)] = TurnOptions().speech_threshold

    @property
    def turns(self) -> TurnOptions:
        """When a turn begins and ends."""
        options = TurnOptions()
        if self.threshold is not None:
            hysteresis = options.speech_threshold - options.silence_threshold
            options = replace(
                options, speech_threshold=self.threshold, silence_threshold=max(0.0, self.threshold - hysteresis)
            )
        if self.silence_duration_ms is None:
            return options
        silence_s = self.silence_duration_ms / 1000
        return replace(
            options,
            least_silence_s=silence_s,
            least_unfinished_silence_s=silence_s,
            longest_silence_s=silence_s,
            longest_unfinished_silence_s=silence_s,
        )


class SemanticVad(_Wire):
    """Turn taking by the words and the voice; `eagerness` says how much silence it takes to be surer."""

    type: Literal["semantic_vad"]
    create_response: bool | None = True
    interrupt_response: bool | None = True
    eagerness: Literal["low", "medium", "high", "auto"] | None = "auto"

    @property
    def turns(self) -> TurnOptions:
        """When a turn begins and ends."""
        return _EAGERNESS.get(self.eagerness or "auto", TurnOptions())


_EAGERNESS = {
    "low": TurnOptions(resume_risk=0.005, longest_silence_s=1.5, longest_unfinished_silence_s=2.0),
    "high": TurnOptions(resume_risk=0.1, longest_silence_s=0.45, longest_unfinished_silence_s=0.65),
}


class NoiseReduction(_Wire):
    type: Literal["near_field", "far_field"] | None = None
    strength: float | None = None


class Transcription(_Wire):
    model: str | None = None
    language: str | None = None
    languages: list[str] | None = None
    prompt: str | None = None
    keywords: list[str] | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None

    @model_serializer(mode="wrap")
    def _known_to_all(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what was not set: Pipecat refuses a session with the later ones of these fields."""
        return {name: value for name, value in dump(self).items() if value is not None}


class AudioInput(_Wire):
    format: Format = PcmFormat(type="audio/pcm")
    noise_reduction: NoiseReduction | None = None
    transcription: Transcription | None = Transcription(model="rejoinder")
    turn_detection: Annotated[ServerVad | SemanticVad, Field(discriminator="type")] | None = ServerVad()

    @property
    def encoding(self) -> Encoding:
        return Encoding(self.format.type)


class VoiceId(_Wire):
    id: str


class AudioOutput(_Wire):
    format: Format = PcmFormat(type="audio/pcm")
    voice: str | VoiceId | None = "alloy"
    speed: Annotated[float | None, Field(ge=0.25, le=1.5), AfterValidator(lambda _: 1.0)] = 1.0

    @property
    def encoding(self) -> Encoding:
        return Encoding(self.format.type)


class Audio(_Wire):
    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class TranscriptionAudio(_Wire):
    input: AudioInput = AudioInput()


Modalities: TypeAlias = Annotated[list[Literal["text", "audio"]], Field(min_length=1, max_length=1)]


class ConversationSettings(_Wire):
    """A session that hears and answers."""

    type: Literal["realtime"]
    audio: Audio = Audio()
    output_modalities: Modalities = ["audio"]
    model: str | None = "rejoinder"
    instructions: str | None = None
    include: list[str] | None = None
    max_output_tokens: int | Literal["inf"] | None = "inf"
    parallel_tool_calls: bool | None = None
    prompt: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    temperature: float | None = Field(default=None, exclude=True)
    tool_choice: str | dict[str, Any] | None = "auto"
    tools: list[dict[str, Any]] | None = []
    tracing: str | dict[str, Any] | None = None
    truncation: str | dict[str, Any] | None = "auto"


class TranscriptionSettings(_Wire):
    """A session that only writes down what it hears."""

    type: Literal["transcription"]
    audio: TranscriptionAudio = TranscriptionAudio()
    include: list[str] | None = None


Settings: TypeAlias = Annotated[ConversationSettings | TranscriptionSettings, Field(discriminator="type")]


class Content(_Wire):
    """A part of an item; images are not understood."""

    type: Literal["input_text", "input_audio", "output_text", "output_audio"]
    text: str | None = None
    transcript: str | None = None
    audio: str | None = Field(default=None, exclude=True)


class Message(_Wire):
    type: Literal["message"]
    role: Literal["user", "assistant", "system"]
    content: list[Content]
    id: str | None = None
    object: Literal["realtime.item"] = "realtime.item"
    status: Literal["completed", "incomplete", "in_progress"] | None = "completed"

    @property
    def text(self) -> str:
        """Its words, written or spoken."""
        return " ".join(words for part in self.content if (words := part.text or part.transcript))


class FunctionCall(_Wire):
    """Kept as a part of the history."""

    type: Literal["function_call"]
    name: str
    arguments: str
    call_id: str | None = None
    id: str | None = None
    object: Literal["realtime.item"] = "realtime.item"
    status: Literal["completed", "incomplete", "in_progress"] | None = "completed"


class FunctionCallOutput(_Wire):
    """What the client's function returned."""

    type: Literal["function_call_output"]
    call_id: str
    output: str
    id: str | None = None
    object: Literal["realtime.item"] = "realtime.item"
    status: Literal["completed", "incomplete", "in_progress"] | None = "completed"


Item: TypeAlias = Annotated[Message | FunctionCall | FunctionCallOutput, Field(discriminator="type")]


class ResponseOutput(_Wire):
    format: Format | None = None
    voice: str | VoiceId | None = None


class ResponseAudio(_Wire):
    output: ResponseOutput | None = None


class ResponseOptions(_Wire):
    """What one response does otherwise than the session's settings say."""

    conversation: Literal["auto"] | None = None
    metadata: dict[str, str] | None = None
    output_modalities: Modalities | None = None
    input: list[Item] | None = None
    audio: ResponseAudio | None = None
    instructions: str | None = None
    max_output_tokens: int | Literal["inf"] | None = None
    parallel_tool_calls: bool | None = None
    prompt: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    temperature: float | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None


class _ClientEvent(_Wire):
    event_id: str | None = None


class SessionUpdate(_ClientEvent):
    type: Literal["session.update"]
    session: dict[str, Any]
    """A part of `Settings`; checked once it is merged with the rest."""


class AudioAppend(_ClientEvent):
    type: Literal["input_audio_buffer.append"]
    audio: str


class AudioCommit(_ClientEvent):
    type: Literal["input_audio_buffer.commit"]


class AudioClear(_ClientEvent):
    type: Literal["input_audio_buffer.clear"]


class ItemCreate(_ClientEvent):
    type: Literal["conversation.item.create"]
    item: Item
    previous_item_id: str | None = None


class ItemRetrieve(_ClientEvent):
    type: Literal["conversation.item.retrieve"]
    item_id: str


class ItemDelete(_ClientEvent):
    type: Literal["conversation.item.delete"]
    item_id: str


class ItemTruncate(_ClientEvent):
    type: Literal["conversation.item.truncate"]
    item_id: str
    content_index: int = Field(ge=0)
    audio_end_ms: int = Field(ge=0)


class ResponseCreate(_ClientEvent):
    type: Literal["response.create"]
    response: ResponseOptions | None = None


class ResponseCancel(_ClientEvent):
    type: Literal["response.cancel"]
    response_id: str | None = None


class OutputClear(_ClientEvent):
    type: Literal["output_audio_buffer.clear"]


ClientEvent: TypeAlias = (
    SessionUpdate
    | AudioAppend
    | AudioCommit
    | AudioClear
    | ItemCreate
    | ItemRetrieve
    | ItemDelete
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel
    | OutputClear
)

_EVENT_TYPES: tuple[str, ...] = tuple(
    get_args(event.model_fields["type"].annotation)[0] for event in get_args(ClientEvent)
)
_UNION_TAGS = (
    *("realtime", "transcription", "server_vad", "semantic_vad", "message", "function_call", "function_call_output"),
    *(encoding.value for encoding in Encoding),
)
_CLIENT_EVENT: TypeAdapter[ClientEvent] = TypeAdapter(Annotated[ClientEvent, Field(discriminator="type")])
_SETTINGS: TypeAdapter[ConversationSettings | TranscriptionSettings] = TypeAdapter(Settings)


def parse(text: str | bytes) -> ClientEvent:
    """One event of the client from its JSON; raises `RefusedError`."""
    try:
        return _CLIENT_EVENT.validate_json(text)
    except ValidationError as error:
        raise _refusal(error) from None
    except RecursionError:
        raise RefusedError("nested too deeply", code="invalid_json") from None


def opened(change: dict[str, Any]) -> ConversationSettings | TranscriptionSettings:
    """The settings that a session begins with, where some are given with it; raises `RefusedError`."""
    kind = change.get("type", "realtime")
    if kind == "transcription":
        return updated(TranscriptionSettings(type=kind), change)
    return updated(ConversationSettings(type="realtime"), {**change, "type": kind})


def updated(
    settings: ConversationSettings | TranscriptionSettings, change: dict[str, Any]
) -> ConversationSettings | TranscriptionSettings:
    """The settings with a part of them changed; raises `RefusedError`, and then nothing has changed."""
    if change.get("type") != settings.type:
        raise RefusedError(
            f"session.type must be '{settings.type}', as the session was opened",
            code="invalid_value",
            param="session.type",
        )
    try:
        return _SETTINGS.validate_python(_merged(settings.model_dump(), change))
    except ValidationError as error:
        raise _refusal(error, within="session") from None


def _merged(old: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Deep, but what is of another type replaces what was there."""
    merged = dict(old)
    for name, new in change.items():
        before = old.get(name)
        if (
            isinstance(before, dict)
            and isinstance(new, dict)
            and new.get("type", before.get("type")) == before.get("type")
        ):
            merged[name] = _merged(before, new)
        else:
            merged[name] = new
    return merged


def _refusal(error: ValidationError, *, within: str = "") -> RefusedError:
    """The first thing that is wrong, without quoting what was sent: it may be what somebody said."""
    first = error.errors(include_input=False, include_url=False)[0]
    kind = first["type"]
    # Pydantic's path also names the member of each union that was looked at.
    path = ".".join(str(step) for step in (within, *first["loc"]) if step not in ("", *_EVENT_TYPES, *_UNION_TAGS))
    if kind.startswith("json_"):
        return RefusedError("this is not a JSON object", code="invalid_json")
    if kind.startswith("union_tag") and not first["loc"]:
        known = ", ".join(_EVENT_TYPES)
        return RefusedError(f"no known event; 'type' is one of: {known}", code="unknown_event", param="type")
    code = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}.get(kind, "invalid_value")
    return RefusedError(f"{path or 'event'}: {first['msg']}", code=code, param=path or None)
