"""The Realtime conversation: session events and client events in, server events out. Pure: no socket, no clock.

Speech that begins while a reply is heard is announced only once the session takes it for an interruption: clients fall
silent at `speech_started`, and an "uh-huh" or a cough should not make them.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from rejoinder.events import (
    BackchannelHeard,
    Event,
    PartialTranscript,
    ReplyAudio,
    ReplyContinued,
    ReplyDone,
    ReplyStarted,
    SpeechStarted,
    StageFailed,
    TurnDropped,
    TurnEnded,
)
from rejoinder.serve.realtime.audio import Encoding
from rejoinder.serve.realtime.protocol import (
    ConversationSettings,
    FunctionCallOutput,
    Item,
    ItemCreate,
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    Message,
    RefusedError,
    ResponseOptions,
    ServerEvent,
    SessionUpdate,
    TranscriptionSettings,
    updated,
)
from rejoinder.serve.realtime.response import Asked, Response, Status
from rejoinder.session import SessionOptions

MOST_ITEMS = 1000
"""Items that are remembered; the oldest are forgotten."""


@dataclass(slots=True, eq=False)
class _Speech:
    """What the caller is saying, from its first sound to the item that it becomes."""

    item_id: str
    began_s: float
    announced: bool = False
    stopped: bool = False
    sent: list[str] = field(default_factory=list)
    """The words of its transcript that the client has."""


@dataclass(slots=True)
class _FunctionCall:
    """A function that the client runs, until it asks for the reply."""

    call_id: str
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the session is to do for a response that the client asked for."""

    kind: Literal["answer", "greeting", "apology", "output"]
    """Answer words; greet; say that no words were understood; go on with what the client's function returned."""
    text: str = ""
    """The words, or the output."""


class Conversation:
    """What one client has been told, and what it may be told next."""

    def __init__(
        self,
        settings: ConversationSettings | TranscriptionSettings,
        *,
        new_id: Callable[[str], str],
        session_id: str | None = None,
        sends_audio: bool = True,
    ) -> None:
        """`new_id` makes an id that begins with what it is given; `session_id` is given where an earlier one goes on.

        Not `sends_audio`: it does not go by events.
        """
        self.settings = settings
        self._new_id = new_id
        self._sends_audio = sends_audio
        self._session_id = session_id or new_id("sess")
        self._items: dict[str, ServerEvent] = {}
        self._open: list[_Speech] = []
        self._offset_s = 0.0
        self._inserted_at_s = 0.0
        self._inserted_s = 0.0
        self._playing_until_s = 0.0
        self._last_words: list[str] = []
        self._last_speech_end_s = float("-inf")
        self._unheard = False
        self._unanswered: list[str] = []
        self._asked = Asked()
        self._response: Response | None = None
        self._typed: deque[tuple[str, Response]] = deque()
        self._answering: Response | None = None
        self._function_call: _FunctionCall | None = None
        self._muted = False
        self._must_interrupt = False

    # Its settings.

    @property
    def turn_taking(self) -> bool:
        """Whether the session decides when a turn is over; otherwise the client commits."""
        return self.settings.audio.input.turn_detection is not None

    @property
    def listens_only(self) -> bool:
        """Whether spoken turns are written down, but not answered unasked."""
        detection = self.settings.audio.input.turn_detection
        return not isinstance(self.settings, ConversationSettings) or detection is None or not detection.create_response

    @property
    def text_only(self) -> bool:
        """Whether nothing is to be spoken."""
        return not isinstance(self.settings, ConversationSettings) or self.settings.output_modalities == ["text"]

    @property
    def hearing(self) -> bool:
        """Whether the caller is speaking, as far as the session has said."""
        return any(not speech.stopped for speech in self._open)

    @property
    def responding(self) -> bool:
        """Whether a response is under way."""
        return self._response is not None

    @property
    def audible(self) -> Response | None:
        """The response whose audio is to be heard now."""
        return self._response if self._response is not None and self._response.spoken and not self._muted else None

    @property
    def replying_in_text(self) -> bool:
        """Whether that response is not spoken."""
        return self._response is not None and not self._response.spoken

    def created(self) -> ServerEvent:
        """The first event of all."""
        return self._event("session.created", session=self._session())

    def update(self, event: SessionUpdate) -> list[ServerEvent]:
        """Change a part of the settings."""
        self.settings = updated(self.settings, event.session)
        return [self._event("session.updated", session=self._session())]

    def restarted(self, at_s: float, *, greets: bool = False) -> list[ServerEvent]:
        """A new session goes on, its clock at zero, `at_s` seconds into the audio; the old one says nothing more.

        `greets`: the response under way is the new session's greeting.
        """
        events = self._stop_speaking(at_s)
        self._open.clear()
        self._inserted_at_s = self._inserted_s = 0.0
        self._offset_s, self._playing_until_s, self._last_speech_end_s = at_s, at_s, float("-inf")
        self._typed.clear()
        self._answering, self._muted = self._response if greets else None, False
        return events if greets else events + self._finish("cancelled", "client_cancelled")

    def silence_inserted(self, at_s: float, length_s: float) -> None:
        """The session was given silence that the caller's audio, `at_s` seconds long by now, does not have."""
        self._offset_s -= self._inserted_s
        self._inserted_at_s, self._inserted_s = at_s - self._offset_s, length_s

    # What the client asks for.

    def create_item(self, event: ItemCreate) -> list[ServerEvent]:
        """Add what was said elsewhere, or what the user types."""
        if isinstance(event.item, Message) and not event.item.text and event.item.role == "user":
            raise RefusedError(
                "a user's message needs text; send audio with input_audio_buffer.append",
                code="invalid_value",
                param="item.content",
            )
        item = event.item.model_dump(exclude_none=True)
        item["id"] = event.item.id or self._new_id("item")
        if item["id"] in self._items:
            raise RefusedError("an item with this id exists", code="item_create_duplicate_item_id", param="item.id")
        previous = self._add_item(item)
        call = self._function_call
        if isinstance(event.item, FunctionCallOutput) and call is not None and event.item.call_id == call.call_id:
            call.output = event.item.output
        if text := _typed_words(event.item):
            self._unanswered.append(text)
            self._asked = Asked(self._asked.audio_s, self._asked.n_words + len(text.split()))
        return [
            self._event("conversation.item.added", previous_item_id=previous, item=dict(item)),
            self._event("conversation.item.done", previous_item_id=previous, item=dict(item)),
        ]

    def retrieve_item(self, event: ItemRetrieve) -> list[ServerEvent]:
        """Show an item; audio is not kept."""
        item = self._known(event.item_id, "item_retrieve_invalid_item_id")
        return [self._event("conversation.item.retrieved", item=dict(item))]

    def delete_item(self, event: ItemDelete) -> list[ServerEvent]:
        """Forget an item; the dialogue's own state is not changed."""
        self._known(event.item_id, "item_delete_invalid_item_id")
        del self._items[event.item_id]
        return [self._event("conversation.item.deleted", item_id=event.item_id)]

    def truncate_item(self, event: ItemTruncate) -> list[ServerEvent]:
        """Note that the rest of a reply was never heard; which words that were is not known."""
        item = self._known(event.item_id, "item_truncate_invalid_item_id")
        if item.get("role") != "assistant" or event.content_index != 0:
            raise RefusedError("only the audio of an assistant's message is cut", code="invalid_value", param="item_id")
        item["content"] = [
            {name: value for name, value in part.items() if name != "transcript"} for part in item["content"]
        ]
        if self._response is None:
            self._playing_until_s = 0.0
        where = {"item_id": event.item_id, "content_index": 0, "audio_end_ms": event.audio_end_ms}
        return [self._event("conversation.item.truncated", **where)]

    def commit(self, audio_s: float) -> tuple[str, list[ServerEvent]]:
        """The client ends a turn: the id of its item, whose words follow in `transcribed`."""
        item_id = self._new_id("item")
        self._asked = Asked(self._asked.audio_s + audio_s, self._asked.n_words)
        return item_id, self._add_spoken(item_id)

    def transcribed(self, item_id: str, text: str | None, audio_s: float) -> list[ServerEvent]:
        """The words of a turn that the client committed; None when they could not be recognized."""
        self._unanswered.append(text or "")
        return self._transcription(item_id, text, audio_s, sent=[])

    def cleared(self) -> list[ServerEvent]:
        """The audio that was not committed is gone."""
        return [self._event("input_audio_buffer.cleared")]

    def respond(self, options: ResponseOptions) -> tuple[list[ServerEvent], Wanted]:
        """Begin a response, and say what the session is to do for it."""
        if not isinstance(self.settings, ConversationSettings):
            raise RefusedError("a transcription session gives no responses", code="invalid_value", param="type")
        if self._response is not None:
            raise RefusedError("a response is under way", code="conversation_already_has_active_response")
        if self.text_only and options.output_modalities == ["audio"]:
            raise RefusedError(
                "the session's output is text; change it with session.update",
                code="invalid_value",
                param="response.output_modalities",
            )
        if self._function_call is not None:
            return self._go_on(self._function_call, options)
        unanswered = self._unanswered
        if options.input is not None:
            unanswered = [typed for item in options.input if (typed := _typed_words(item))]
        if not unanswered and any(item.get("role") == "assistant" for item in self._items.values()):
            raise RefusedError(
                "there is no user message to answer; add one with conversation.item.create", code="no_user_message"
            )
        events = self._begin_response(options)
        assert self._response is not None
        if options.input is None:
            self._unanswered = []
        text = " ".join(filter(None, unanswered))
        if not text:
            return events, Wanted("apology" if unanswered else "greeting")
        self._typed.append((text, self._response))
        return events, Wanted("answer", text)

    def _go_on(self, call: _FunctionCall, options: ResponseOptions) -> tuple[list[ServerEvent], Wanted]:
        if call.output is None:
            raise RefusedError(
                "a function call awaits its output; add it with conversation.item.create",
                code="conversation_already_has_active_response",
            )
        events = self._begin_response(options)
        self._function_call, self._answering = None, self._response
        return events, Wanted("output", call.output)

    def cancel(self, response_id: str | None = None) -> list[ServerEvent]:
        """Stop the response under way; the session is to be interrupted as well."""
        if self._response is None or response_id not in (None, self._response.id):
            raise RefusedError("there is no such response under way", code="response_cancel_not_active")
        self._muted = self._response.started
        return self._finish("cancelled", "client_cancelled")

    def call_function(self, name: str, arguments: str) -> list[ServerEvent] | None:
        """Have the client run a function; None where it has cancelled the response that wanted it."""
        response, self._answering = self._answering, None
        if response is not None and response is not self._response:
            self._answering = response
            return None
        events = self._begin_response(ResponseOptions()) if self._response is None else []
        assert self._response is not None
        self._function_call = _FunctionCall(self._new_id("call"))
        return [*events, *self._response.call(name, self._function_call.call_id, arguments), *self._finish("completed")]

    def function_output(self) -> str | None:
        """The output of a function for whose reply the client has not asked in time, and which is over now."""
        call, self._function_call = self._function_call, None
        return call.output if call else None

    def output_audio(self, kind: Literal["started", "stopped", "cleared"], response_id: str) -> ServerEvent:
        """What became of a response's audio, where it is not sent in events."""
        return self._event(f"output_audio_buffer.{kind}", response_id=response_id)

    def cut(self, response: Response, heard_s: float) -> list[ServerEvent]:
        """The rest of a response's audio is dropped: the client heard so much of it."""
        events = [self.output_audio("cleared", response.id)]
        item = self._items.get(response.item_id)
        if item is None:
            return events
        item["content"] = [{k: v for k, v in part.items() if k != "transcript"} for part in item["content"]]
        where = {"item_id": response.item_id, "content_index": 0, "audio_end_ms": round(1000 * heard_s)}
        return [*events, self._event("conversation.item.truncated", **where)]

    def error(
        self, message: str, *, code: str, param: str | None = None, client_event: str | None = None
    ) -> ServerEvent:
        """Something went wrong that the client should know of."""
        kind = "server_error" if code == "server_error" else "invalid_request_error"
        what = {"type": kind, "code": code, "message": message, "param": param, "event_id": client_event}
        return self._event("error", error=what)

    # What the session tells.

    def on(self, event: Event) -> list[ServerEvent]:
        """Tell the client of what the answering session did."""
        match event:
            case TurnEnded(text=text, confidence=1.0) if self._typed and self._typed[0][0] == text:
                _, self._answering = self._typed.popleft()
                return []
            case TurnEnded():
                self._answering = None
                return self.heard(event)
            case ReplyStarted(text=text):
                return self._reply_started(text)
            case ReplyContinued(text=text) if self._response is not None and not self._muted:
                return self._response.words(text)
            case ReplyAudio(samples=samples, sample_rate=rate, at_s=at_s):
                if self._response is None or self._muted:
                    return []
                if self._response.spoken:
                    began_s = max(self._playing_until_s, self._at(at_s))
                    self._playing_until_s = began_s + len(samples) / rate
                return self._response.audio(samples, rate)
            case ReplyDone(interrupted=interrupted, at_s=at_s):
                return self._reply_done(interrupted, self._at(at_s))
            case StageFailed(stage=stage) if stage == "synthesis" and self._response is not None:
                self._response.failure = stage
                return []
            case _:
                return self.heard(event)

    def heard(self, event: Event, *, answered: bool = True) -> list[ServerEvent]:
        """Tell the client of what the caller said; not `answered`: the client has yet to ask for a response."""
        match event:
            case SpeechStarted(at_s=at_s):
                return self._speech_started(self._at(at_s))
            case PartialTranscript(text=text, n_stable=n_stable):
                return self._partial(text.split()[:n_stable])
            case TurnEnded():
                return self._turn_ended(event, answered)
            case BackchannelHeard(at_s=at_s):
                speech = self._open.pop(0) if self._open else None
                return self._stopped(speech, self._at(at_s)) if speech else []
            case TurnDropped(speech_end_s=speech_end_s):
                return self._turn_dropped(self._at(speech_end_s))
            case StageFailed(stage="recognition"):
                self._unheard = True
        return []

    def interrupts(self) -> bool:
        """Whether the answering session is to be interrupted now; asked once after each event."""
        must, self._must_interrupt = self._must_interrupt, False
        return must

    def _speech_started(self, at_s: float) -> list[ServerEvent]:
        events = self._stop_speaking(at_s)
        speech = _Speech(self._new_id("item"), at_s)
        self._open.append(speech)
        detection = self.settings.audio.input.turn_detection
        if self.listens_only:
            events += self._announced(speech)
            if self._response is not None and detection is not None and detection.interrupt_response:
                self._muted, self._must_interrupt = self._response.started, True
                events += self._finish("cancelled", "turn_detected")
        elif self._response is None and at_s >= self._playing_until_s:
            events += self._announced(speech)
        return events

    def _partial(self, stable: list[str]) -> list[ServerEvent]:
        """Words that will not change; only a transcription's client is told so early: others expect the item first."""
        speech = self._open[-1] if self._open else None
        if speech is None or not speech.announced or isinstance(self.settings, ConversationSettings):
            return []
        if (
            speech.began_s - self._last_speech_end_s <= SessionOptions().reopen_s
        ):  # may begin with the last turn's words
            return []
        return self._delta(speech.item_id, stable, speech.sent)

    def _turn_ended(self, ended: TurnEnded, answered: bool) -> list[ServerEvent]:
        end_s = self._at(ended.speech_end_s)
        known = [speech for speech in self._open if speech.began_s <= end_s]
        speech = known[-1] if known else _Speech(self._new_id("item"), end_s)
        self._open = [other for other in self._open if other.began_s > end_s]
        audio_s = max(0.0, end_s - speech.began_s)
        words = ended.text.split()
        if ended.continues and words[: len(self._last_words)] == self._last_words:
            text = " ".join(words[len(self._last_words) :])
        else:
            text = ended.text
        self._last_words, self._last_speech_end_s = words, end_s
        unheard, self._unheard = self._unheard and not ended.text, False
        if answered:
            self._asked = Asked(audio_s)
        else:
            self._unanswered.append(text)
            self._asked = Asked(self._asked.audio_s + audio_s, self._asked.n_words)
        return [
            *self._announced(speech),
            *self._stopped(speech, end_s),
            *self._add_spoken(speech.item_id),
            *self._transcription(speech.item_id, None if unheard else text, audio_s, speech.sent),
        ]

    def _turn_dropped(self, end_s: float) -> list[ServerEvent]:
        """A noise: whoever was told that it began is told that it ended, and no item comes of it."""
        over = [speech for speech in self._open if speech.began_s <= end_s]
        self._open = [speech for speech in self._open if speech not in over]
        return [event for speech in over for event in self._stopped(speech, end_s)]

    def _reply_started(self, text: str) -> list[ServerEvent]:
        response, self._answering = self._answering, None
        if response is not None and response is not self._response:  # cancelled before it began
            self._muted = self._must_interrupt = True
            return []
        if response is None and self._response is not None:  # the client's own is about to take its place
            self._muted = True
            return []
        self._muted = False
        events = self._begin_response(ResponseOptions()) if self._response is None else []
        assert self._response is not None
        return events + self._response.words(text)

    def _reply_done(self, interrupted: bool, at_s: float) -> list[ServerEvent]:
        events: list[ServerEvent] = []
        if interrupted:
            self._playing_until_s = min(self._playing_until_s, at_s)
            events += self._announced(self._open[-1]) if self._open else []
        muted, self._muted = self._muted, False
        if muted or self._response is None:
            return events
        if self._response.started or self._response is self._answering:
            events += self._finish("cancelled", "turn_detected") if interrupted else self._finish("completed")
        return events

    # Pieces.

    def _at(self, at_s: float) -> float:
        """A time of the session's clock in seconds of the caller's audio, which has no silence put into it."""
        return self._offset_s + at_s - min(max(0.0, at_s - self._inserted_at_s), self._inserted_s)

    def _event(self, kind: str, **fields: Any) -> ServerEvent:
        return {"type": kind, "event_id": self._new_id("event"), **fields}

    def _session(self) -> dict[str, Any]:
        object_ = (
            "realtime.session" if isinstance(self.settings, ConversationSettings) else "realtime.transcription_session"
        )
        return {"id": self._session_id, "object": object_, **self.settings.model_dump()}

    def _known(self, item_id: str, code: str) -> ServerEvent:
        if item_id not in self._items:
            raise RefusedError("there is no item with this id", code=code, param="item_id")
        return self._items[item_id]

    def _add_item(self, item: ServerEvent) -> str | None:
        """Put an item at the end; the id of the one before."""
        previous = next(reversed(self._items), None)
        self._items[item["id"]] = item
        if len(self._items) > MOST_ITEMS:
            del self._items[next(iter(self._items))]
        return previous

    def _add_spoken(self, item_id: str) -> list[ServerEvent]:
        """A turn is over and becomes an item, whose words follow."""
        item: ServerEvent = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        previous = self._add_item(item)
        return [
            self._event("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id),
            self._event("conversation.item.added", previous_item_id=previous, item=dict(item)),
            self._event("conversation.item.done", previous_item_id=previous, item=dict(item)),
        ]

    def _transcription(self, item_id: str, text: str | None, audio_s: float, sent: list[str]) -> list[ServerEvent]:
        if text is not None and item_id in self._items:
            self._items[item_id]["content"] = [{"type": "input_audio", "transcript": text}]
        if self.settings.audio.input.transcription is None:
            return []
        kind = "conversation.item.input_audio_transcription"
        where = {"item_id": item_id, "content_index": 0}
        if text is None:
            failure = {"type": "server_error", "code": "stage_failed", "message": "recognition failed"}
            return [self._event(f"{kind}.failed", **where, error=failure)]
        usage = {"type": "duration", "seconds": round(audio_s, 3)}
        completed = self._event(f"{kind}.completed", **where, transcript=text, usage=usage)
        return [*self._delta(item_id, text.split(), sent), completed]

    def _delta(self, item_id: str, words: list[str], sent: list[str]) -> list[ServerEvent]:
        """The words after those that were sent, unless those have changed since."""
        n_sent = len(sent)
        if len(words) <= n_sent or words[:n_sent] != sent or self.settings.audio.input.transcription is None:
            return []
        delta = " " * (n_sent > 0) + " ".join(words[n_sent:])
        sent[:] = words
        kind = "conversation.item.input_audio_transcription.delta"
        return [self._event(kind, item_id=item_id, content_index=0, delta=delta)]

    def _announced(self, speech: _Speech) -> list[ServerEvent]:
        if speech.announced:
            return []
        speech.announced = True
        at_ms = round(1000 * speech.began_s)
        return [self._event("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=speech.item_id)]

    def _stopped(self, speech: _Speech, at_s: float) -> list[ServerEvent]:
        stopped, speech.stopped = speech.stopped, True
        if stopped or not speech.announced:
            return []
        at_ms = round(1000 * at_s)
        return [self._event("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=speech.item_id)]

    def _stop_speaking(self, at_s: float) -> list[ServerEvent]:
        """Whatever was said before has stopped by now: of a mere noise, the session tells no end."""
        return [event for speech in self._open for event in self._stopped(speech, at_s)]

    def _begin_response(self, options: ResponseOptions) -> list[ServerEvent]:
        assert isinstance(self.settings, ConversationSettings)
        own = options.audio.output.format if options.audio and options.audio.output else None
        encoding = Encoding(own.type) if own else self.settings.audio.output.encoding
        modalities = options.output_modalities or self.settings.output_modalities
        self._response = Response(
            self._event,
            self._add_item,
            ids=(self._new_id("resp"), self._new_id("item")),
            spoken=modalities == ["audio"],
            encoding=encoding if self._sends_audio else None,
            metadata=options.metadata,
            asked=self._asked,
        )
        self._asked = Asked()
        return self._response.created()

    def _finish(self, status: Status, reason: str | None = None) -> list[ServerEvent]:
        response, self._response = self._response, None
        return response.finish(status, reason) if response else []


def _typed_words(item: Item) -> str:
    """What a user typed; "" for anything else."""
    return item.text.strip() if isinstance(item, Message) and item.role == "user" else ""
