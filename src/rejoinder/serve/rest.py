"""OpenAI-compatible REST: models, transcriptions, speech, chat completions."""

import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from inspect import signature
from typing import Annotated, Any, Literal, TypeVar
from uuid import uuid4

from fastapi import APIRouter, Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from rejoinder.assistant import Assistant
from rejoinder.audio import SAMPLE_RATE
from rejoinder.errors import AudioError, one_of
from rejoinder.events import Samples
from rejoinder.serve import transcribing
from rejoinder.serve.api_errors import RESPONSES, ApiError, failure
from rejoinder.serve.audio_formats import FORMATS, Encoder, decode
from rejoinder.serve.chat import ChatRequest, answered, drafted
from rejoinder.serve.metrics import Metrics
from rejoinder.serve.settings import Settings
from rejoinder.tts.cache import CachedSynthesizer

VOICE = "default"
"""Name of the domain's voice."""

OPENAI_VOICES = frozenset("alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse".split())
"""Names that clients send because they know no others; each is the domain's voice."""

MOST_CHARS = 4_096
"""Longest text to be spoken at once, as at OpenAI."""

_SSE = "text/event-stream"
_NO_CACHE = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

Item = TypeVar("Item")


class TranscriptionForm(BaseModel):
    """A recording to transcribe."""

    model_config = ConfigDict(extra="forbid")

    file: UploadFile
    model: str = Field(min_length=1, description="Any name: the domain's recognizer answers.")
    response_format: Literal["json", "text", "verbose_json", "srt", "vtt"] = "json"
    stream: bool = Field(False, description="Send the text stretch by stretch as server-sent events; for `json` only.")
    language: str | None = Field(None, min_length=2, description="Must be the domain's own.")
    granularities: list[Literal["segment"]] = Field(default=[], alias="timestamp_granularities[]")

    # Taken, and without effect: the domain's words guide recognition, and nothing is sampled.
    prompt: str | None = None
    temperature: float | None = None


class SpeechRequest(BaseModel):
    """A text to speak."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1, description="Any name: the domain's voice speaks.")
    input: str = Field(min_length=1, max_length=MOST_CHARS)
    voice: str | dict[Literal["id"], str] = VOICE
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0)
    stream_format: Literal["audio", "sse"] = "audio"
    instructions: str | None = Field(None, description="Taken, and without effect.")


class Rest:
    """The routes of one assistant."""

    def __init__(self, assistant: Assistant, settings: Settings, metrics: Metrics) -> None:
        self._assistant = assistant
        self._settings = settings
        self._metrics = metrics
        self._started = int(time.time())

    def router(self) -> APIRouter:
        """All routes, for an app to include."""
        router = APIRouter(prefix="/v1", responses=dict(RESPONSES))
        router.get("/models", summary="List the one model")(self.models)
        router.get("/models/{model}", summary="Look at the model")(self.model)
        router.post("/audio/transcriptions", summary="Speech to text", response_model=None)(self.transcriptions)
        router.post("/audio/speech", summary="Text to speech", response_model=None)(self.speech)
        router.post("/chat/completions", summary="The domain's text assistant", response_model=None)(self.completions)
        return router

    # Models.

    @property
    def _name(self) -> str:
        return self._assistant.domain.name

    async def models(self) -> dict[str, Any]:
        """The domain's assistant, which recognizes, speaks and answers."""
        return {"object": "list", "data": [await self.model(self._name)]}

    async def model(self, model: str) -> dict[str, Any]:
        """One model."""
        if model != self._name:
            raise ApiError(
                f"there is no model '{model}' ({one_of((self._name,))})",
                param="model",
                code="model_not_found",
                status=404,
            )
        return {"id": self._name, "object": "model", "created": self._started, "owned_by": "rejoinder"}

    # Transcriptions.

    async def transcriptions(
        self, request: Request, form: Annotated[TranscriptionForm, Form(media_type="multipart/form-data")]
    ) -> Response:
        """Transcribe a recording."""
        language = self._assistant.domain.language
        if form.language is not None and form.language.split("-")[0].lower() != language.split("-")[0].lower():
            raise ApiError(f"only '{language}' is spoken here", param="language", code="unsupported_language")
        if form.stream and form.response_format != "json":
            raise ApiError("only response_format 'json' can be streamed", param="response_format")
        decoding = partial(decode, await form.file.read(), longest_s=self._settings.max_audio_s)
        try:
            samples = await self._run(decoding)
        except AudioError as error:
            raise ApiError(str(error), param="file", code="invalid_audio") from error
        heard = transcribing.segments(
            self._assistant, samples, timeout_s=self._settings.stage_timeout_s, metrics=self._metrics
        )
        duration_s = len(samples) / SAMPLE_RATE
        if form.stream:
            return self._events(self._transcript_events(heard, duration_s))
        whole: list[transcribing.Segment] = []
        async for segment in heard:
            whole.append(segment)
            if await request.is_disconnected():
                break  # nobody is there to read the rest
        match form.response_format:
            case "text":
                return PlainTextResponse(transcribing.joined(whole) + "\n")
            case "srt":
                return PlainTextResponse(transcribing.as_srt(whole), media_type="application/x-subrip")
            case "vtt":
                return PlainTextResponse(transcribing.as_vtt(whole), media_type="text/vtt")
            case "verbose_json":
                return JSONResponse(transcribing.as_verbose(whole, language=language, duration_s=duration_s))
        return JSONResponse({"text": transcribing.joined(whole), "usage": transcribing.usage(duration_s)})

    async def _transcript_events(
        self, heard: AsyncIterator[transcribing.Segment], duration_s: float
    ) -> AsyncIterator[Mapping[str, Any]]:
        whole: list[transcribing.Segment] = []
        async for segment in heard:
            yield {"type": "transcript.text.delta", "delta": f" {segment.text}" if whole else segment.text}
            whole.append(segment)
        yield {
            "type": "transcript.text.done",
            "text": transcribing.joined(whole),
            "usage": transcribing.usage(duration_s),
        }

    # Speech.

    async def speech(self, wanted: SpeechRequest) -> Response:
        """Speak a text."""
        if wanted.response_format not in FORMATS:
            raise ApiError(
                f"'{wanted.response_format}' cannot be written here ({one_of(tuple(FORMATS))})",
                param="response_format",
                code="unsupported_format",
            )
        voice = wanted.voice if isinstance(wanted.voice, str) else wanted.voice.get("id", "")
        if voice not in OPENAI_VOICES | {VOICE}:
            raise ApiError(
                f"there is no voice '{voice}' ({one_of((VOICE, *OPENAI_VOICES), n_most=20)})",
                param="voice",
                code="voice_not_found",
            )
        if not wanted.input.strip():
            raise ApiError("input holds nothing to say", param="input")
        spoken, rate = self._spoken(wanted.input, wanted.speed), self._assistant.pipeline.synthesizer.sample_rate
        parts = self._steps(_encoded(spoken, wanted.response_format, rate), stage="synthesize")
        if wanted.stream_format == "sse":
            return self._events(_speech_events(parts, wanted.input))
        media_type = FORMATS[wanted.response_format].media_type
        if FORMATS[wanted.response_format].streams:
            return StreamingResponse(await _begun(parts), media_type=media_type)
        return Response(b"".join([part async for part in parts]), media_type=media_type)

    def _spoken(self, text: str, speed: float) -> Iterator[Samples]:
        """The text's audio, clause by clause."""
        synthesizer = self._assistant.pipeline.synthesizer
        if speed == 1.0:
            return synthesizer.synthesize(text)
        voice: Any = synthesizer.voice if isinstance(synthesizer, CachedSynthesizer) else synthesizer
        if "speed" not in signature(voice.synthesize).parameters:
            raise ApiError("the domain's voice has one speed only: 1.0", param="speed", code="unsupported")
        spoken: Iterator[Samples] = voice.synthesize(text, speed=speed)
        return spoken

    # Chat.

    async def completions(self, wanted: ChatRequest) -> Response:
        """Answer the last message of a conversation; see `chat`."""
        question, pipeline = wanted.question(), self._assistant.pipeline
        draft = await self._run(partial(drafted, pipeline, question, wanted.messages[:-1]))
        draft, pieces = await self._run(partial(answered, pipeline, draft), waits=True)
        self._metrics.stages(draft.took_s)
        head = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time()), "model": self._name}
        n_asked = sum(_n_words(message.text) for message in wanted.messages)
        said = self._steps(pieces, waits=True)
        if wanted.stream:
            with_usage = wanted.stream_options is not None and bool(wanted.stream_options.include_usage)
            return self._events(_chat_events(head, said, n_asked if with_usage else None), done="[DONE]")
        text = "".join([piece async for piece in said])
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
        return JSONResponse(
            {**head, "object": "chat.completion", "choices": [choice], "usage": _usage(n_asked, _n_words(text))}
        )

    # What they share.

    async def _run(self, call: Callable[[], Item], *, waits: bool = False) -> Item:
        """Run `call` on the assistant's threads: the event loop never computes."""
        return await self._assistant.workers.run(call, timeout_s=self._settings.stage_timeout_s, waits=waits)

    async def _steps(
        self, items: Iterator[Item], *, stage: str | None = None, waits: bool = False
    ) -> AsyncIterator[Item]:
        """Each item as soon as a thread has made it."""
        while True:
            began = time.perf_counter()
            item = await self._run(lambda: next(items, None), waits=waits)
            if item is None:
                return
            if stage is not None:
                self._metrics.stage(stage, time.perf_counter() - began)
            yield item

    def _events(self, events: AsyncIterator[Mapping[str, Any]], *, done: str | None = None) -> Response:
        """A stream of server-sent events; a stage that fails on the way ends it with an error."""

        async def lines() -> AsyncIterator[str]:
            try:
                async for event in events:
                    yield f"data: {json.dumps(event)}\n\n"
            except Exception as error:
                yield f"data: {json.dumps(failure(error))}\n\n"
                raise
            if done is not None:
                yield f"data: {done}\n\n"

        return StreamingResponse(lines(), media_type=_SSE, headers=_NO_CACHE)


def _encoded(pieces: Iterator[Samples], name: str, sample_rate: int) -> Iterator[bytes]:
    """What can be sent after each piece, and the rest."""
    with closing(Encoder(name, sample_rate)) as encoder:  # opened here, so that whoever stops half-way closes it
        for samples in pieces:
            if settled := encoder.write(samples):
                yield settled
        if rest := encoder.finish():
            yield rest


async def _begun(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The parts, with the first one made already: what fails before it is still answered with a status of its own."""
    first = await anext(parts, b"")

    async def all_parts() -> AsyncIterator[bytes]:
        yield first
        async for part in parts:
            yield part

    return all_parts()


async def _speech_events(parts: AsyncIterator[bytes], text: str) -> AsyncIterator[Mapping[str, Any]]:
    n_bytes = 0
    async for part in parts:
        n_bytes += len(part)
        yield {"type": "speech.audio.delta", "audio": base64.b64encode(part).decode()}
    n_words = _n_words(text)
    usage = {"input_tokens": n_words, "output_tokens": n_bytes, "total_tokens": n_words + n_bytes}
    yield {"type": "speech.audio.done", "usage": usage}


async def _chat_events(
    head: Mapping[str, Any], said: AsyncIterator[str], n_asked: int | None
) -> AsyncIterator[Mapping[str, Any]]:
    """The reply's chunks; with `n_asked`, the words of the question, a last one tells the usage."""
    head = {**head, "object": "chat.completion.chunk"}

    def chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> Mapping[str, Any]:
        return {
            **head,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
        }

    n_words = 0
    yield chunk({"role": "assistant", "content": ""})
    async for piece in said:
        n_words += _n_words(piece)
        yield chunk({"content": piece})
    yield chunk({}, "stop")
    if n_asked is not None:
        yield {**head, "choices": [], "usage": _usage(n_asked, n_words)}


def _usage(n_asked: int, n_said: int) -> dict[str, int]:
    """Words in place of tokens: no tokenizer is involved."""
    return {"prompt_tokens": n_asked, "completion_tokens": n_said, "total_tokens": n_asked + n_said}


def _n_words(text: str) -> int:
    return len(text.split())
