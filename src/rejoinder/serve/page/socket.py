"""The page's WebSocket `/talk`: binary frames are audio, text frames the messages of `messages`.

From the page: s16le, mono, at `SAMPLE_RATE`. To the page: the reply's number, 32 bits little-endian, and s16le at the
rate that `reply_audio` announced. A page drops frames of a reply that was interrupted by their number.
"""

import asyncio
import secrets
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from rejoinder.audio import SAMPLE_RATE, frames, from_int16, to_int16
from rejoinder.events import ReplyAudio, ReplyDone, ReplyStarted, Samples, SessionEnded, TurnEnded
from rejoinder.serve.calls import Call, Calls
from rejoinder.serve.page.messages import (
    LONGEST_FRAME,
    ClientMessage,
    Goodbye,
    Hello,
    Message,
    Played,
    Stop,
    Text,
    UnreadableError,
    message_of,
    parse,
    written,
)
from rejoinder.serve.states import Keeper, Standing
from rejoinder.session import Session, SessionOptions

PROTOCOL = "rejoinder"
"""The subprotocol that a page offers beside its key, and the one that is answered: a key is never sent back."""

HELLO_S = 10.0
"""How long a page may take to say hello."""

AHEAD_S = 60.0
"""How much more audio than time has passed: what a page kept while its connection was lost comes at once."""

IDLE_S = 30.0
"""Silence until the caller is asked whether they are there: people read the page while they talk to it."""

PIECE_S = 0.25
"""Replies leave in frames this long: no caller's keeps the event loop from the others."""

BAD_MESSAGE, TOO_FAST, ENDED, ELSEWHERE = 1007, 1008, 1000, 4001
"""Codes with which the server closes; after each of these the page does not come back by itself."""


class Talks:
    """All connections of the page."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._live: dict[str, _Talk] = {}

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one caller, who has been let in, until either side ends it."""
        offered = websocket.scope.get("subprotocols") or ()
        await websocket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
        try:
            async with asyncio.timeout(HELLO_S):
                hello = _message(await websocket.receive())
            if not isinstance(hello, Hello):
                raise UnreadableError("the first message must be 'hello'")
        except (UnreadableError, TimeoutError) as error:
            await websocket.close(BAD_MESSAGE, str(error) or "no hello came")
            return
        except WebSocketDisconnect:
            return
        with self._calls.answer("page", admit=False, owner=websocket.scope.get("owner")) as call:
            if hello.resume and (held := self._live.get(hello.resume)) is not None:
                await held.give_up()  # a connection that still holds it, half dead
            keeper = await call.keeper(hello.resume, new=secrets.token_urlsafe(24))
            talk = self._live[keeper.token] = _Talk(websocket, call, keeper)
            try:
                await talk.run(hello)
            finally:
                if self._live.get(keeper.token) is talk:
                    del self._live[keeper.token]
                talk.over.set()


class _Talk:
    """One connection."""

    def __init__(self, websocket: WebSocket, call: Call, keeper: Keeper) -> None:
        self._websocket = websocket
        self._call = call
        self._keeper = keeper
        self._began = keeper.resumed or Standing()
        self._n_turns = self._began.n_turns
        self._goes_on = True
        self._n_replies = 0
        self._n_done = 0
        self.over = asyncio.Event()
        self._receiving: asyncio.Task[None] | None = None

    async def run(self, hello: Hello) -> None:
        """Talk until the end."""
        options = SessionOptions(greet=hello.greet and not self._keeper.resumed, barge_in=hello.barge_in, idle_s=IDLE_S)
        async with self._call.session(options=options, state=self._began.state) as session:
            try:
                async with asyncio.TaskGroup() as tasks:
                    self._receiving = tasks.create_task(self._receive(session))
                    tasks.create_task(self._tell(session, self._welcome(options)))
            finally:
                if self._goes_on:
                    self._keep(session)
                await self._keeper.end(goes_on=self._goes_on)

    def _keep(self, session: Session) -> None:
        self._keeper.keep(Standing(session.state, self._n_turns))

    async def give_up(self) -> None:
        """Let another connection have the conversation."""
        if self._receiving is not None:
            self._receiving.cancel()
        await self._close(ELSEWHERE, "the conversation goes on elsewhere")
        await self.over.wait()

    def _welcome(self, options: SessionOptions) -> Message:
        return {
            "type": "welcome",
            "call": self._call.info.id,
            "resume": self._keeper.token,
            "resumed": self._keeper.resumed is not None,
            "n_turns": self._began.n_turns,
            "last_reply": self._began.state.last_reply,
            "pause_s": options.turns.pause_s,
        }

    async def _receive(self, session: Session) -> None:
        """Follow the page until it goes; then the session ends, too."""
        began, heard_s = time.monotonic(), 0.0
        code, reason = ENDED, ""
        try:
            while (frame := await self._websocket.receive())["type"] != "websocket.disconnect":
                if (data := frame.get("bytes")) is None:
                    self._follow(_message(frame), session)
                else:
                    heard_s += len(data) / 2 / SAMPLE_RATE
                    if heard_s > time.monotonic() - began + AHEAD_S:
                        code, reason, self._goes_on = TOO_FAST, "audio comes faster than it is spoken", False
                        break
                    await session.feed(_samples(data))
                if not self._goes_on:
                    break
        except UnreadableError as error:
            code, reason, self._goes_on = BAD_MESSAGE, str(error), False
        finally:
            await session.close()
            await self._close(code, reason)

    def _follow(self, message: ClientMessage, session: Session) -> None:
        match message:
            case Text(text=text):
                session.submit_text(text)
            case Played(reply=reply):
                if reply == self._n_replies == self._n_done:
                    session.playback_ended()
            case Stop():
                session.interrupt()
            case Goodbye():
                self._goes_on = False
            case Hello():
                raise UnreadableError("'hello' comes once")

    async def _tell(self, session: Session, welcome: Message) -> None:
        """Tell the page of everything; when it is gone, go on to the end, for turns are counted here."""
        listens = await self._send(welcome)
        async for event in session.events():
            match event:
                case TurnEnded():
                    self._n_turns += 1
                case ReplyStarted():
                    self._n_replies += 1
                    self._keep(session)
                case ReplyDone():
                    self._n_done = self._n_replies
                    self._keep(session)
                case SessionEnded(reason=reason) if reason != "closed":
                    self._goes_on = False
            listens = listens and await self._send(message_of(event, reply=self._n_replies))
            if listens and isinstance(event, ReplyAudio):
                listens = await self._send_audio(event)
        if self._receiving is not None:
            self._receiving.cancel()

    async def _send(self, message: Message) -> bool:
        """Send a message; False when the page is gone."""
        try:
            await self._websocket.send_text(written(message))
        except (WebSocketDisconnect, RuntimeError):  # uvicorn raises the latter when it has closed the connection
            return False
        return True

    async def _send_audio(self, event: ReplyAudio) -> bool:
        """Send a piece of a reply; False when the page is gone."""
        head = struct.pack("<I", self._n_replies)
        for piece in frames(event.samples, round(PIECE_S * event.sample_rate)):
            try:
                await self._websocket.send_bytes(head + to_int16(piece).astype("<i2").tobytes())
            except (WebSocketDisconnect, RuntimeError):
                return False
            await asyncio.sleep(0)
        return True

    async def _close(self, code: int, reason: str) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):  # it may be closed already
            await self._websocket.close(code, reason)


def _message(frame: Mapping[str, Any]) -> ClientMessage:
    """The message in a text frame; raises `UnreadableError`, and `WebSocketDisconnect` for the end."""
    if frame["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(frame.get("code") or ENDED)
    text = frame.get("text")
    if text is None:
        raise UnreadableError("audio came before 'hello'")
    return parse(text)


def _samples(data: bytes) -> Samples:
    """The samples of a binary frame; raises `UnreadableError`."""
    if len(data) % 2 or len(data) > LONGEST_FRAME:
        raise UnreadableError(f"a frame holds whole 16-bit samples, at most {LONGEST_FRAME} bytes")
    return from_int16(np.frombuffer(data, "<i2").astype(np.int16))
