"""One response on the wire: the fixed sequence of server events around its words and its audio. Pure."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from rejoinder.events import Samples
from rejoinder.serve.realtime.audio import Encoding, OutputStream
from rejoinder.serve.realtime.protocol import ServerEvent

INPUT_TOKENS_PER_S = 10
OUTPUT_TOKENS_PER_S = 20
"""Usage counts audio as OpenAI does, and a word as a token: there is no tokenizer to count with."""

Status = Literal["completed", "cancelled", "failed"]


class MakeEvent(Protocol):
    """Makes a server event with an id of its own."""

    def __call__(self, kind: str, **fields: Any) -> ServerEvent: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller said that a response answers, for its usage."""

    audio_s: float = 0.0
    n_words: int = 0


class Response:
    """A reply of the session, as the client is told of it."""

    def __init__(
        self,
        event: MakeEvent,
        add_item: Callable[[ServerEvent], str | None],
        *,
        ids: tuple[str, str],
        spoken: bool,
        encoding: Encoding | None,
        metadata: Mapping[str, str] | None = None,
        asked: Asked | None = None,
    ) -> None:
        """`encoding` None: its audio goes another way. `add_item` appends an item and tells which precedes it."""
        self._event = event
        self._add_item = add_item
        self.id, self.item_id = ids
        self.spoken = spoken
        """Whether it is heard; otherwise it is text."""
        self._encoding = encoding
        self._metadata = dict(metadata or {})
        self._asked = asked or Asked()
        self._previous: str | None = None
        self._item: ServerEvent | None = None
        self._text = ""
        self._audio: OutputStream | None = None
        self._audio_s = 0.0
        self._whole = False
        self.failure: str | None = None
        """The stage that failed meanwhile, if one did."""

    @property
    def started(self) -> bool:
        """Whether its words have come."""
        return self._item is not None

    def created(self) -> list[ServerEvent]:
        """It is announced."""
        return [self._event("response.created", response=self._state("in_progress"))]

    def words(self, text: str) -> list[ServerEvent]:
        """Its first words, or more of them."""
        events = [] if self.started else self._begin()
        delta = f" {text}" if self._text else text
        self._text += delta
        kind = "response.output_audio_transcript.delta" if self.spoken else "response.output_text.delta"
        return [*events, self._part(kind, delta=delta)]

    def audio(self, samples: Samples, sample_rate: int) -> list[ServerEvent]:
        """A piece of its audio, in several events that are short each."""
        if not self.spoken:
            return []
        self._audio_s += len(samples) / sample_rate
        if self._encoding is None:
            return []
        self._audio = self._audio or OutputStream(self._encoding, sample_rate)
        return [self._audio_delta(piece) for piece in self._audio.pieces(samples)]

    def call(self, name: str, call_id: str, arguments: str) -> list[ServerEvent]:
        """It is no words but a function that the client is to run."""
        self._item = {
            "id": self.item_id,
            "object": "realtime.item",
            "type": "function_call",
            "status": "in_progress",
            "call_id": call_id,
            "name": name,
            "arguments": "",
        }
        previous = self._add_item(self._item)
        where = {"response_id": self.id, "item_id": self.item_id, "output_index": 0, "call_id": call_id}
        events = [
            self._output_item("response.output_item.added"),
            self._event("conversation.item.added", previous_item_id=previous, item=dict(self._item)),
            self._event("response.function_call_arguments.delta", **where, delta=arguments),
            self._event("response.function_call_arguments.done", **where, name=name, arguments=arguments),
        ]
        self._item |= {"status": "completed", "arguments": arguments}
        self._whole = True
        return [
            *events,
            self._output_item("response.output_item.done"),
            self._event("conversation.item.done", previous_item_id=previous, item=dict(self._item)),
        ]

    def finish(self, status: Status, reason: str | None = None) -> list[ServerEvent]:
        """It is over: handed over whole, cancelled for a reason, or failed."""
        if self.failure is not None and status == "completed":
            status = "failed"
        events = self._end(status) if self._item is not None and not self._whole else []
        details: dict[str, Any] = {"type": status}
        if reason is not None:
            details["reason"] = reason
        if status == "failed":
            message = f"{self.failure or 'the reply'} failed"
            details["error"] = {"type": "server_error", "code": "stage_failed", "message": message}
        state = self._state(status) | {"status_details": details, "usage": self._usage()}
        return [*events, self._event("response.done", response=state)]

    def _begin(self) -> list[ServerEvent]:
        self._item = {
            "id": self.item_id,
            "object": "realtime.item",
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [],
        }
        self._previous = self._add_item(self._item)
        part = {"type": "audio", "transcript": ""} if self.spoken else {"type": "text", "text": ""}
        return [
            self._output_item("response.output_item.added"),
            self._event("conversation.item.added", previous_item_id=self._previous, item=dict(self._item)),
            self._part("response.content_part.added", part=part),
        ]

    def _end(self, status: Status) -> list[ServerEvent]:
        """The part, the item and all that they hold are done."""
        assert self._item is not None
        events: list[ServerEvent] = []
        if self.spoken:
            if self._audio is not None and status == "completed":
                rest = self._audio.pieces(np.zeros(0, np.float32), last=True)
                events += [self._audio_delta(piece) for piece in rest]
            events += [
                self._part("response.output_audio.done"),
                self._part("response.output_audio_transcript.done", transcript=self._text),
            ]
            part, content = (
                {"type": "audio", "transcript": self._text},
                {"type": "output_audio", "transcript": self._text},
            )
        else:
            events.append(self._part("response.output_text.done", text=self._text))
            part, content = {"type": "text", "text": self._text}, {"type": "output_text", "text": self._text}
        self._item["content"] = [content]
        self._item["status"] = "completed" if status == "completed" else "incomplete"
        return [
            *events,
            self._part("response.content_part.done", part=part),
            self._output_item("response.output_item.done"),
            self._event("conversation.item.done", previous_item_id=self._previous, item=dict(self._item)),
        ]

    def _part(self, kind: str, **fields: Any) -> ServerEvent:
        where = {"response_id": self.id, "item_id": self.item_id, "output_index": 0, "content_index": 0}
        return self._event(kind, **where, **fields)

    def _output_item(self, kind: str) -> ServerEvent:
        assert self._item is not None
        return self._event(kind, response_id=self.id, output_index=0, item=dict(self._item))

    def _audio_delta(self, piece: bytes) -> ServerEvent:
        return self._part("response.output_audio.delta", delta=base64.b64encode(piece).decode())

    def _state(self, status: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "status_details": None,
            "output": [dict(self._item)] if self._item else [],
            "output_modalities": ["audio" if self.spoken else "text"],
            "metadata": self._metadata,
            "usage": None,
        }

    def _usage(self) -> dict[str, Any]:
        heard = {"audio_tokens": round(self._asked.audio_s * INPUT_TOKENS_PER_S), "text_tokens": self._asked.n_words}
        said = {"audio_tokens": round(self._audio_s * OUTPUT_TOKENS_PER_S), "text_tokens": len(self._text.split())}
        n_heard, n_said = sum(heard.values()), sum(said.values())
        return {
            "input_tokens": n_heard,
            "output_tokens": n_said,
            "total_tokens": n_heard + n_said,
            "input_token_details": {**heard, "cached_tokens": 0},
            "output_token_details": said,
        }
