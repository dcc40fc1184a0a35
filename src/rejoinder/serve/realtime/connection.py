"""A client of the Realtime protocol: the I/O between its transport, its `Conversation` and the assistant's sessions.

The client's events are followed one after the other; what is to be sent waits in a short queue. So a client that
does not read is not read from either, its session's synthesis pauses, and nobody else notices.
"""

import asyncio
import base64
import binascii
import json
import logging
import math
import sys
import uuid
from collections.abc import Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np

from rejoinder.audio import SAMPLE_RATE
from rejoinder.dialogue import DialogueState
from rejoinder.errors import ActionError
from rejoinder.events import (
    Event,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    Samples,
    SessionEnded,
    Understanding,
    Understood,
)
from rejoinder.pipeline import Draft
from rejoinder.serve.calls import Call
from rejoinder.serve.metrics import places
from rejoinder.serve.realtime.audio import InputStream
from rejoinder.serve.realtime.conversation import Conversation
from rejoinder.serve.realtime.functions import ANSWER_S, arguments, calling, offered
from rejoinder.serve.realtime.listening import apologizing, listening, silent
from rejoinder.serve.realtime.protocol import (
    AudioAppend,
    AudioClear,
    AudioCommit,
    ClientEvent,
    ConversationSettings,
    ItemCreate,
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    OutputClear,
    RefusedError,
    ResponseCancel,
    ResponseCreate,
    ResponseOptions,
    ServerEvent,
    ServerVad,
    SessionUpdate,
    TranscriptionSettings,
    parse,
)
from rejoinder.serve.realtime.response import Response
from rejoinder.serve.states import Keeper, Standing
from rejoinder.session import Session, SessionOptions
from rejoinder.turns import TurnOptions

LEAST_COMMIT_S = 0.1
"""Audio that a client may commit; OpenAI asks for as much."""

N_WAITING = 8
"""Batches of events that may wait to be sent; what one session event gives is one batch."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RealtimeOptions:
    """What one client may use."""

    longest_message: int = 4 * 1024 * 1024
    """Characters of one event: 65 s of PCM. The server must let WebSocket messages of this size through."""
    longest_buffer_s: float = 120.0
    """Audio that may wait for the client's commit, where the client ends the turns."""
    recognition_timeout_s: float = 30.0
    """When the recognition of a committed turn counts as hung."""


class GoneError(Exception):
    """The client is gone."""


class Transport(Protocol):
    """Carries the protocol's events to one client and back."""

    async def receive(self) -> str | bytes | None:
        """The client's next message; None once it is gone."""

    async def send(self, text: str) -> None:
        """Send one event; raises `GoneError`."""

    async def close(self) -> None:
        """End it from this side."""


class Speaker(Protocol):
    """Plays replies to the client, where their audio does not go by events."""

    def play(self, samples: Samples, sample_rate: int, response: Response) -> None:
        """Play this after what is still to be played."""

    def end(self) -> None:
        """No more of this response follows."""

    def cut(self) -> float | None:
        """Drop what was not played; the seconds of that response which were, or None when there was nothing to drop."""


class Connection:
    """One client, however it is connected."""

    def __init__(
        self,
        transport: Transport,
        call: Call,
        settings: ConversationSettings | TranscriptionSettings,
        *,
        options: RealtimeOptions | None = None,
        speaker: Speaker | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        """`speaker` None: replies are heard by events. `keeper`: its token is the session's id, for a lost client."""
        self._transport = transport
        self._call = call
        self._speaker = speaker
        self._assistant = call.assistant
        self._options = options or RealtimeOptions()
        self._conversation = conversation = Conversation(
            settings,
            new_id=lambda kind: f"{kind}_{uuid.uuid4().hex[:20]}",
            session_id=keeper.token if keeper else None,
            sends_audio=speaker is None,
        )
        self._keeper = keeper
        self._outbox: asyncio.Queue[list[ServerEvent] | None] = asyncio.Queue(N_WAITING)
        self._tasks = asyncio.TaskGroup()
        self._loop = asyncio.get_running_loop()
        self._state = keeper.resumed.state if keeper and keeper.resumed else DialogueState()
        self._answering: Session | None = None
        self._listening: Session | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._notes: set[asyncio.Task[None]] = set()
        self._ended = False
        self._input = InputStream(conversation.settings.audio.input.encoding)
        self._heard_s = 0.0
        self._buffer: list[Samples] = []
        self._understood: Understanding | None = None
        self._turn_told = asyncio.Condition()
        self._playing: Response | None = None
        self._asking: asyncio.Task[Any] | None = None
        self._output: asyncio.Future[str] | None = None
        self._n_restarts = 0

    async def run(self) -> None:
        """Until the client goes or the session ends."""
        try:
            await self._run()
        except* GoneError:
            pass
        except* Exception as failures:
            # Only the kinds and places of the errors are said: a message may quote what the caller said.
            for error in failures.exceptions:
                what = {"error": type(error).__name__, "at": places(error)}
                logger.error("a call failed", extra={"call": self._call.info.id, **what})
            failed = self._conversation.error("the server failed", code="server_error")
            with suppress(GoneError):
                await self._transport.send(json.dumps(failed))
                await self._transport.close()

    async def _run(self) -> None:
        async with self._tasks:
            sending = self._tasks.create_task(self._send())
            receiving = self._tasks.create_task(self._receive())
            await self._tell([self._conversation.created()])
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
            self._ended = True
            self._drop_function()
            for task in (sending, receiving, *self._pumps, *self._notes):
                task.cancel()

    # To the client.

    async def _tell(self, events: list[ServerEvent]) -> None:
        if events:
            await self._outbox.put(events)

    async def _send(self) -> None:
        with suppress(GoneError):
            while (events := await self._outbox.get()) is not None:
                for event in events:
                    await self._transport.send(json.dumps(event))
                    await asyncio.sleep(0)  # a long reply is many events: other callers come in between
            await self._transport.close()

    async def _pump(self, session: Session, *, listens: bool) -> None:
        """Tell the client of what a session does."""
        conversation = self._conversation
        async with session:
            async for event in session.events():
                in_text = conversation.replying_in_text
                told = conversation.heard(event, answered=False) if listens else conversation.on(event)
                if isinstance(event, ReplyDone) and in_text:
                    session.playback_ended()
                if self._keeper is not None and not listens and isinstance(event, ReplyStarted | ReplyDone):
                    self._keeper.keep(Standing(session.state, session.state.n_turns))
                if self._speaker is not None and not listens:
                    told += self._play(event, self._speaker)
                if conversation.interrupts() and self._answering is not None:
                    self._answering.interrupt()
                await self._tell(told)
                if isinstance(event, Understood):
                    async with self._turn_told:
                        self._understood = event.understanding
                        self._turn_told.notify_all()
                if isinstance(event, SessionEnded):
                    await self._outbox.put(None)

    def _play(self, event: Event, speaker: Speaker) -> list[ServerEvent]:
        """Let the client hear a reply, or no more of it."""
        match event:
            case ReplyAudio(samples=samples, sample_rate=sample_rate) if response := self._conversation.audible:
                speaker.play(samples, sample_rate, response)
            case ReplyDone(interrupted=True):
                return self._cut(speaker)
            case ReplyDone():
                speaker.end()
        return []

    def _cut(self, speaker: Speaker) -> list[ServerEvent]:
        playing, heard_s = self._playing, speaker.cut()
        self._playing = None
        if heard_s is None or playing is None:
            return []
        return self._conversation.cut(playing, heard_s)

    def played(self, response: Response, *, starts: bool) -> None:
        """For the speaker to say that it begins with a response, or has come to its end."""
        self._playing = response if starts else None
        if not starts and self._answering is not None:
            self._answering.playback_ended()
        told = self._conversation.output_audio("started" if starts else "stopped", response.id)
        if not self._ended:
            note = self._tasks.create_task(self._tell([told]))
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)

    # From the client.

    async def _receive(self) -> None:
        while (message := await self._transport.receive()) is not None:
            event: ClientEvent | None = None
            try:
                event = self._parsed(message)
                await self._follow(event)
            except RefusedError as error:
                client_event = event.event_id if event else None
                told = self._conversation.error(
                    str(error), code=error.code, param=error.param, client_event=client_event
                )
                await self._tell([told])

    def _parsed(self, text: str | bytes) -> ClientEvent:
        if isinstance(text, bytes):
            raise RefusedError("events are JSON text, not binary frames", code="invalid_json")
        if len(text) > self._options.longest_message:
            raise RefusedError(
                f"an event may have {self._options.longest_message} characters; send audio in shorter pieces",
                code="message_too_large",
            )
        return parse(text)

    async def _follow(self, event: ClientEvent) -> None:
        """Do what the client asks for; raises `RefusedError`."""
        conversation = self._conversation
        match event:
            case AudioAppend():
                await self._append(event.audio)
            case AudioCommit():
                await self._commit()
            case AudioClear():
                self._buffer.clear()
                if conversation.hearing:
                    await self._restart()
                await self._tell(conversation.cleared())
            case SessionUpdate():
                await self._update(event)
            case ResponseCreate():
                await self._respond(event.response or ResponseOptions())
            case ResponseCancel():
                events = conversation.cancel(event.response_id)
                if self._answering is not None:
                    self._answering.interrupt()
                await self._tell(events)
            case ItemCreate():
                await self._tell(conversation.create_item(event))
            case ItemRetrieve():
                await self._tell(conversation.retrieve_item(event))
            case ItemDelete():
                await self._tell(conversation.delete_item(event))
            case ItemTruncate():
                events = conversation.truncate_item(event)
                if self._answering is not None and not conversation.responding:
                    self._answering.playback_ended()
                await self._tell(events)
            case OutputClear():
                if self._speaker is None:
                    raise RefusedError("this connection has no output buffer", code="invalid_value", param="type")
                if self._answering is not None:
                    self._answering.interrupt()
                await self._tell(self._cut(self._speaker))

    async def _append(self, audio: str) -> None:
        try:
            data = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError):
            raise RefusedError("the audio is not base64", code="invalid_value", param="audio") from None
        for piece in self._input.pieces(data):
            await self.hear(piece)

    async def hear(self, piece: Samples) -> None:
        """Take the caller's next audio, of shape (n_samples,) at SAMPLE_RATE; raises `RefusedError` for too much."""
        self._heard_s += len(piece) / SAMPLE_RATE
        if self._conversation.turn_taking:
            await self._hearing_session().feed(piece)
        elif self._buffered_s < self._options.longest_buffer_s:
            self._buffer.append(piece)
            await asyncio.sleep(0)
        else:
            raise RefusedError(
                f"{self._options.longest_buffer_s:.0f} s of audio wait to be committed; the rest is dropped",
                code="input_audio_buffer_full",
            )

    @property
    def _buffered_s(self) -> float:
        return sum(len(piece) for piece in self._buffer) / SAMPLE_RATE

    async def _commit(self) -> None:
        """The client says that the turn is over."""
        conversation = self._conversation
        if conversation.turn_taking and conversation.hearing:
            turns = self._turns  # what ends every turn is silence
            silence_s = max(turns.longest_silence_s, turns.longest_unfinished_silence_s) + 0.1
            conversation.silence_inserted(self._heard_s, silence_s)
            await self._hearing_session().feed(np.zeros(round(silence_s * SAMPLE_RATE), np.float32))
            return
        audio_s = self._buffered_s
        if conversation.turn_taking or audio_s < LEAST_COMMIT_S:
            raise RefusedError(
                f"at least {1000 * LEAST_COMMIT_S:.0f} ms of speech are needed before a commit",
                code="input_audio_buffer_commit_empty",
            )
        samples = np.concatenate(self._buffer)
        self._buffer.clear()
        item_id, events = conversation.commit(audio_s)
        await self._tell(events)
        text = await self._recognized(samples)
        await self._tell(conversation.transcribed(item_id, text, audio_s))

    async def _recognized(self, samples: Samples) -> str | None:
        """The words of a whole turn; None when recognition failed."""
        talk = self._assistant.conversation()
        try:
            transcript = await self._assistant.workers.run(
                lambda: talk.transcribe(samples), timeout_s=self._options.recognition_timeout_s
            )
        except Exception as error:
            logger.warning("realtime: recognition failed: %s", type(error).__name__)
            return None
        return transcript.text

    async def _update(self, event: SessionUpdate) -> None:
        conversation = self._conversation
        before, was = conversation.settings, self._kind
        told = conversation.update(event)
        if before.audio.input.encoding is not conversation.settings.audio.input.encoding:
            self._input = InputStream(conversation.settings.audio.input.encoding)
        if self._kind != was:
            self._buffer.clear()
            await self._restart()
        await self._tell(told)

    async def _respond(self, options: ResponseOptions) -> None:
        """The client asks for an answer to what was said or typed; before anything was, for a greeting."""
        told, wanted = self._conversation.respond(options)
        await self._tell(told)
        match wanted.kind:
            case "answer":
                self._answering_session().submit_text(wanted.text)
            case "output" if self._output is not None and not self._output.done():
                self._output.set_result(wanted.text)
            case "greeting" | "apology":
                await self._restart(speaks_first=wanted.kind)

    # The client's functions.

    def _ask(self, n_restarts: int, draft: Draft) -> str:
        """Have the client run the action of a draft; called on a thread, which waits. Raises `ActionError`."""
        asked = asyncio.run_coroutine_threadsafe(self._ask_client(n_restarts, draft), self._loop)
        try:
            return asked.result()
        except CancelledError:
            raise ActionError("the call went on without the client's function") from None

    async def _ask_client(self, n_restarts: int, draft: Draft) -> str:
        action = draft.reply.action
        assert action is not None
        if n_restarts != self._n_restarts:
            raise ActionError("the call went on without the client's function")
        self._asking = asyncio.current_task()
        try:
            async with asyncio.timeout(action.timeout_s + ANSWER_S):
                async with self._turn_told:  # the call comes after the turn that it answers
                    await self._turn_told.wait_for(lambda: self._understood is draft.understanding)
                sent = arguments(draft.reply.slots, self._functions.get(action.name))
                told = self._conversation.call_function(action.name, sent)
                if told is None:
                    raise ActionError("the client cancelled the response")
                self._output = self._loop.create_future()
                await self._tell(told)
                return await self._output
        except TimeoutError:
            if (output := self._conversation.function_output()) is not None:
                return output  # it was there, but no reply was asked for
            raise ActionError("the client's function took too long") from None
        finally:
            self._asking = None

    def _drop_function(self) -> None:
        """Wait for no output any more: the sessions that wanted it end."""
        self._n_restarts += 1
        self._conversation.function_output()
        if self._asking is not None:
            self._asking.cancel()

    # The sessions.

    @property
    def _turns(self) -> TurnOptions:
        detection = self._conversation.settings.audio.input.turn_detection
        return detection.turns if detection is not None else TurnOptions()

    @property
    def _functions(self) -> Mapping[str, Mapping[str, Any] | None]:
        return offered(self._conversation.settings, self._assistant.domain)

    @property
    def _kind(self) -> tuple[object, ...]:
        """What of the settings needs new sessions when it changes."""
        conversation = self._conversation
        kind = conversation.turn_taking, conversation.listens_only, conversation.text_only
        return *kind, self._session_options(), frozenset(self._functions)

    def _session_options(self, *, greet: bool = False) -> SessionOptions:
        detection = self._conversation.settings.audio.input.turn_detection
        idle_ms = detection.idle_timeout_ms if isinstance(detection, ServerVad) else None
        return SessionOptions(
            turns=self._turns,
            barge_in=detection is None or detection.interrupt_response is not False,
            idle_s=idle_ms / 1000 if idle_ms else math.inf,
            n_idle_prompts=sys.maxsize,  # it is the client who hangs up
            greet=greet,
        )

    def _answering_session(self, *, speaks_first: Literal["greeting", "apology"] | None = None) -> Session:
        """The session that answers, with the dialogue so far."""
        if self._answering is None:
            ask = partial(self._ask, self._n_restarts)
            pipeline = calling(self._assistant.pipeline, frozenset(self._functions), ask)
            if speaks_first == "apology":
                pipeline = apologizing(pipeline)
            self._answering = self._call.session(
                options=self._session_options(greet=speaks_first is not None),
                state=self._state,
                pipeline=silent(pipeline) if self._conversation.text_only else pipeline,
            )
            self._begin(self._answering, listens=False)
        return self._answering

    def _hearing_session(self) -> Session:
        """The session that takes the client's audio: the one that answers, unless turns are only written down."""
        if not self._conversation.listens_only:
            return self._answering_session()
        if self._listening is None:
            pipeline = listening(self._assistant.pipeline)
            self._listening = self._call.session(options=self._session_options(), pipeline=pipeline)
            self._begin(self._listening, listens=True)
        return self._listening

    def _begin(self, session: Session, *, listens: bool) -> None:
        pump = self._tasks.create_task(self._pump(session, listens=listens))
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)

    async def _restart(self, *, speaks_first: Literal["greeting", "apology"] | None = None) -> None:
        """Drop the sessions; new ones go on where the dialogue stands."""
        self._drop_function()
        for pump in (pumps := set(self._pumps)):
            pump.cancel()
        if pumps:
            await asyncio.wait(pumps)
        if self._answering is not None:
            self._state = self._answering.state
        self._answering = self._listening = None
        await self._tell(self._conversation.restarted(self._heard_s, greets=speaks_first is not None))
        if self._speaker is not None:
            await self._tell(self._cut(self._speaker))
        if speaks_first is not None:
            self._answering_session(speaks_first=speaks_first)
