"""The domain's text assistant behind `/v1/chat/completions`: the history of the messages is its only memory."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rejoinder.asr.recognizer import Transcript
from rejoinder.dialogue import DialogueState, after_action
from rejoinder.pipeline import Draft, Pipeline
from rejoinder.serve.api_errors import ApiError

MOST_MESSAGES = 256
MOST_CHARS = 4_096
"""Longest text of one message; nobody asks an assistant of a shop more than that at once."""


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TextPart(_Wire):
    """A piece of a message."""

    type: Literal["text"]
    text: str = Field(max_length=MOST_CHARS)


class Message(_Wire):
    """One message of a conversation. Those of roles "system" and "developer" change nothing: the domain decides."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = Field(None, description="Text; audio and pictures are not understood here.")
    name: str | None = None
    refusal: str | None = None

    @property
    def text(self) -> str:
        """All that it says."""
        if isinstance(self.content, list):
            return " ".join(part.text for part in self.content).strip()
        return (self.content or "").strip()


class StreamOptions(_Wire):
    """What a stream says besides the text."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(_Wire):
    """A conversation whose last message, the user's, is to be answered."""

    model: str = Field(min_length=1, description="Any name: the domain's assistant answers.")
    messages: list[Message] = Field(min_length=1, max_length=MOST_MESSAGES)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    modalities: list[Literal["text"]] | None = None
    response_format: dict[str, Any] | None = Field(None, description='Only {"type": "text"}.')
    tools: list[dict[str, Any]] | None = Field(None, max_length=0, description="None: the domain has its own actions.")
    tool_choice: Literal["none", "auto"] | None = None

    # The rest steers language models. It is taken, because clients always send it, and changes nothing.
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    seed: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: dict[str, str] | None = None
    store: Literal[False] | None = None
    service_tier: str | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    parallel_tool_calls: bool | None = None

    def question(self) -> str:
        """What is to be answered; raises `ApiError` where this is not to be had here."""
        if self.response_format is not None and self.response_format.get("type") != "text":
            raise ApiError("response_format: only text is written here", param="response_format", code="unsupported")
        last = self.messages[-1]
        if last.role != "user" or not last.text:
            raise ApiError("the last message must be the user's, with some text", param="messages")
        for n, message in enumerate(self.messages):
            if message.role == "user" and len(message.text) > MOST_CHARS:
                raise ApiError(f"messages[{n}] is longer than {MOST_CHARS} characters", param=f"messages[{n}].content")
        return last.text


def drafted(pipeline: Pipeline, question: str, earlier: Sequence[Message]) -> Draft:
    """The answer to the question in the light of the messages before it; nothing has happened yet."""
    began = time.perf_counter()
    state = replay(pipeline, earlier)
    replayed_s = time.perf_counter() - began
    draft = pipeline.draft(Transcript(question, confidence=1.0), state)
    return replace(draft, took_s={"replay": replayed_s, **draft.took_s})


def answered(pipeline: Pipeline, draft: Draft) -> tuple[Draft, Iterator[str]]:
    """Run the draft's action, or ask the language model; the reply comes in pieces while a model thinks."""
    draft, _ = pipeline.finish(draft)
    pieces = pipeline.free_answer(draft)
    return draft, iter([draft.reply.text]) if pieces is None else _spaced(pieces)


def _spaced(clauses: Iterator[str]) -> Iterator[str]:
    for n, clause in enumerate(clauses):
        yield f" {clause}" if n else clause


def replay(pipeline: Pipeline, messages: Sequence[Message]) -> DialogueState:
    """Where a conversation stands after these messages.

    Its user's turns are understood again, but no action runs again: an order is not placed twice because its history
    is sent twice. What an action returned is therefore known only as far as the dialogue needs no more than its end.
    """
    state = DialogueState()
    for n, message in enumerate(messages):
        if message.role == "user" and message.text:
            said = next((later.text for later in messages[n + 1 :] if later.role != "system"), "")
            draft = pipeline.draft(Transcript(message.text, confidence=1.0), state)
            state = _finished(pipeline, draft, said).state
        elif message.role == "assistant" and message.text:
            state = replace(state, last_reply=message.text)
    return state


def _finished(pipeline: Pipeline, draft: Draft, said: str) -> Draft:
    """The draft after its action, which ended as the assistant said that it did."""
    if draft.reply.action is None:
        return draft
    failed = pipeline.failed(draft)
    if said == failed.reply.text:
        return failed
    state, reply = after_action(pipeline.domain, draft.state, draft.reply, {})
    return replace(draft, state=state, reply=reply)
