"""The Realtime WebSocket: the I/O between a client, its `Conversation` and the sessions of the assistant.

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
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from rejoinder.audio import SAMPLE_RATE
from rejoinder.dialogue import DialogueState
from rejoinder.events import ReplyDone, Samples, SessionEnded
from rejoinder.serve.calls import Call
from rejoinder.serve.realtime.audio import InputStream
from rejoinder.serve.realtime.conversation import Conversation
from rejoinder.serve.realtime.listening import listening, silent
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
from rejoinder.session import Session, SessionOptions

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


async def realtime(websocket: WebSocket, call: Call, *, options: RealtimeOptions | None = None) -> None:
    """Serve one client, who has been let in, until either side ends it.

    `?intent=transcription` only writes down; `?model=` is echoed.
    """
    offered = websocket.scope.get("subprotocols") or ()
    await websocket.accept(subprotocol="realtime" if "realtime" in offered else None)
    settings: ConversationSettings | TranscriptionSettings
    if websocket.query_params.get("intent") == "transcription":
        settings = TranscriptionSettings(type="transcription")
    else:
        settings = ConversationSettings(type="realtime", model=websocket.query_params.get("model") or "rejoinder")
    conversation = Conversation(settings, new_id=lambda kind: f"{kind}_{uuid.uuid4().hex[:20]}")
    try:
        await _Connection(websocket, call, options or RealtimeOptions(), conversation).run()
    except* WebSocketDisconnect:
        pass
    except* Exception as failures:
        # Only the kinds of the errors are said: a message may quote what the caller said.
        logger.error("realtime: a call failed: %s", ", ".join(type(error).__name__ for error in failures.exceptions))
        failed = conversation.error("the server failed", code="server_error")
        with suppress(WebSocketDisconnect, RuntimeError):  # it may be gone
            await websocket.send_text(json.dumps(failed))
            await websocket.close(1011)


class _Connection:
    """One client."""

    def __init__(self, websocket: WebSocket, call: Call, options: RealtimeOptions, conversation: Conversation) -> None:
        self._websocket = websocket
        self._call = call
        self._assistant = call.assistant
        self._options = options
        self._conversation = conversation
        self._outbox: asyncio.Queue[list[ServerEvent] | None] = asyncio.Queue(N_WAITING)
        self._tasks = asyncio.TaskGroup()
        self._state = DialogueState()
        self._answering: Session | None = None
        self._listening: Session | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._input = InputStream(conversation.settings.audio.input.encoding)
        self._heard_s = 0.0
        self._buffer: list[Samples] = []

    async def run(self) -> None:
        """Until the client goes or the session ends."""
        async with self._tasks:
            sending = self._tasks.create_task(self._send())
            receiving = self._tasks.create_task(self._receive())
            await self._tell([self._conversation.created()])
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
            for task in (sending, receiving, *self._pumps):
                task.cancel()

    # To the client.

    async def _tell(self, events: list[ServerEvent]) -> None:
        if events:
            await self._outbox.put(events)

    async def _send(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):  # uvicorn raises the latter when it has closed the connection
            while (events := await self._outbox.get()) is not None:
                for event in events:
                    await self._websocket.send_text(json.dumps(event))
                    await asyncio.sleep(0)  # a long reply is many events: other callers come in between
            await self._websocket.close()

    async def _pump(self, session: Session, *, listens: bool) -> None:
        """Tell the client of what a session does."""
        conversation = self._conversation
        async with session:
            async for event in session.events():
                in_text = conversation.replying_in_text
                told = conversation.heard(event, answered=False) if listens else conversation.on(event)
                if isinstance(event, ReplyDone) and in_text:
                    session.playback_ended()
                if conversation.interrupts() and self._answering is not None:
                    self._answering.interrupt()
                await self._tell(told)
                if isinstance(event, SessionEnded):
                    await self._outbox.put(None)

    # From the client.

    async def _receive(self) -> None:
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            event: ClientEvent | None = None
            try:
                event = self._parsed(message.get("text"))
                await self._follow(event)
            except RefusedError as error:
                client_event = event.event_id if event else None
                told = self._conversation.error(
                    str(error), code=error.code, param=error.param, client_event=client_event
                )
                await self._tell([told])

    def _parsed(self, text: str | None) -> ClientEvent:
        if text is None:
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
                await self._hear(event.audio)
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

    async def _hear(self, audio: str) -> None:
        try:
            data = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError):
            raise RefusedError("the audio is not base64", code="invalid_value", param="audio") from None
        for piece in self._input.pieces(data):
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
            # What ends every turn is silence; the clock of what is told afterwards is that much ahead.
            turns = SessionOptions().turns
            silence_s = max(turns.longest_silence_s, turns.longest_unfinished_silence_s) + 0.1
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
        told, text = self._conversation.respond(options)
        await self._tell(told)
        if text is None:
            await self._restart(greet=True)
        elif text:
            self._answering_session().submit_text(text)

    # The sessions.

    @property
    def _kind(self) -> tuple[object, ...]:
        """What of the settings needs new sessions when it changes."""
        conversation = self._conversation
        return conversation.turn_taking, conversation.listens_only, conversation.text_only, self._session_options(False)

    def _session_options(self, greet: bool) -> SessionOptions:
        detection = self._conversation.settings.audio.input.turn_detection
        idle_ms = detection.idle_timeout_ms if isinstance(detection, ServerVad) else None
        return SessionOptions(
            barge_in=detection is None or detection.interrupt_response is not False,
            idle_s=idle_ms / 1000 if idle_ms else math.inf,
            n_idle_prompts=sys.maxsize,  # it is the client who hangs up
            greet=greet,
        )

    def _answering_session(self, *, greet: bool = False) -> Session:
        """The session that answers, with the dialogue so far."""
        if self._answering is None:
            pipeline = self._assistant.pipeline
            self._answering = self._call.session(
                options=self._session_options(greet),
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
            self._listening = self._call.session(options=self._session_options(False), pipeline=pipeline)
            self._begin(self._listening, listens=True)
        return self._listening

    def _begin(self, session: Session, *, listens: bool) -> None:
        pump = self._tasks.create_task(self._pump(session, listens=listens))
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)

    async def _restart(self, *, greet: bool = False) -> None:
        """Drop the sessions; new ones go on where the dialogue stands."""
        for pump in (pumps := set(self._pumps)):
            pump.cancel()
        if pumps:
            await asyncio.wait(pumps)
        if self._answering is not None:
            self._state = self._answering.state
        self._answering = self._listening = None
        await self._tell(self._conversation.restarted(self._heard_s, greets=greet))
        if greet:
            self._answering_session(greet=True)
