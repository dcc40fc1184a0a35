"""Twilio's door: a webhook that connects a call to a media stream, and the WebSocket that carries it.

Both check Twilio's signature, so neither needs an API key: https://www.twilio.com/docs/usage/security.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape, quoteattr

from fastapi import APIRouter, Request, Response, WebSocket
from starlette.datastructures import URL
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketDisconnect

from rejoinder.errors import SettingsError
from rejoinder.serve.calls import Call, Calls
from rejoinder.serve.cluster.rooted import root_of
from rejoinder.serve.realtime.audio import Encoding
from rejoinder.serve.states import leave, pick_up
from rejoinder.serve.telephony.caller import Heard, Missed, Pressed
from rejoinder.serve.telephony.line import TRANSFER, Line, LineOptions
from rejoinder.serve.telephony.media_stream import Marked, MediaStream, Started, Stopped, StreamError

START_TIMEOUT_S = 10.0
"""How long a stream may take to say which call it carries."""

N_WAITING = 32
"""Messages that may wait to be sent: about three seconds of a reply, which Twilio takes as fast as they come."""

ENDED = "twilio:"
"""Before the id of a call that ended: what becomes of it, until Twilio asks, which another replica may answer."""

LONGEST_FORM = 64 * 1024
"""Bytes of a webhook's form; Twilio's have about a thousand."""

logger = logging.getLogger(__name__)


def signature(token: str, url: str, form: Sequence[tuple[str, str]] = ()) -> str:
    """What Twilio puts into `X-Twilio-Signature` of a request: HMAC-SHA1 of its URL and its sorted form fields."""
    signed = url + "".join(name + value for name, value in sorted(set(form)))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def is_signed(token: str, url: URL, headers: Mapping[str, str], form: Sequence[tuple[str, str]] = ()) -> bool:
    """Whether Twilio sent the request, in constant time.

    Twilio signs the URL as it was told, whose scheme and port a proxy in front of this server may have changed; both
    spellings are tried, which makes nothing easier for whoever does not know the token.
    """
    given = headers.get("x-twilio-signature", "").encode("utf-8", "replace")
    schemes = ("wss", "ws") if url.scheme in {"ws", "wss"} else ("https", "http")
    found = False
    for scheme in schemes:
        for spelled in (url.replace(scheme=scheme), url.replace(scheme=scheme, port=None)):
            found |= hmac.compare_digest(given, signature(token, str(spelled), form).encode())
    return found


def router(
    calls: Calls, *, token: str, transfer_to: str | None = None, options: LineOptions | None = None
) -> APIRouter:
    """The routes of Twilio's door, under `/twilio`. `transfer_to` is the number that callers are handed to.

    Raises `SettingsError` without a token: then anybody could call.
    """
    if not token.strip():
        raise SettingsError("twilio_token: Twilio's auth token is needed, to tell Twilio's requests from others'")
    door = _Door(calls, token.strip(), transfer_to, options or LineOptions())
    routes = APIRouter(prefix="/twilio", include_in_schema=False)
    routes.add_api_route("/voice", door.voice, methods=["POST"])
    routes.add_api_route("/ended", door.ended, methods=["POST"])
    routes.add_api_websocket_route("", door.stream)
    return routes


def _told(connection: HTTPConnection) -> URL:
    """The URL that Twilio was told, whatever prefix has been taken off it."""
    return connection.url.replace(path=root_of(connection.scope) + connection.url.path)


class _Door:
    """The webhook, the stream, and the webhook for when it has ended."""

    def __init__(self, calls: Calls, token: str, transfer_to: str | None, options: LineOptions) -> None:
        self._calls = calls
        self._token = token
        self._transfer_to = transfer_to
        self._options = options

    async def voice(self, request: Request) -> Response:
        """A call comes in: have Twilio connect it to the stream."""
        if await self._form(request) is None:
            return Response(status_code=403)
        root = root_of(request.scope)
        stream = quoteattr(f"wss://{request.url.netloc}{root}/twilio")  # Twilio connects to no other scheme
        return _twiml(f"<Connect action={quoteattr(root + '/twilio/ended')}><Stream url={stream}/></Connect>")

    async def ended(self, request: Request) -> Response:
        """A stream is over: hand the caller to a person if they asked for one, and hang up otherwise."""
        form = await self._form(request)
        if form is None:
            return Response(status_code=403)
        reason = await pick_up(self._calls.states, ENDED + form.get("CallSid", ""))
        if reason == TRANSFER and self._transfer_to is not None:
            return _twiml(f"<Dial>{escape(self._transfer_to)}</Dial>")
        return _twiml("<Hangup/>")

    async def stream(self, websocket: WebSocket) -> None:
        """Carry a call."""
        if not is_signed(self._token, _told(websocket), websocket.headers):
            await websocket.close()  # before it was accepted: a 403
            return
        await websocket.accept()
        with self._calls.answer("twilio", admit=False) as call:
            try:
                call_sid, reason = await _Connection(websocket, call, self._options).run()
            except StreamError as error:
                logger.warning("twilio: a stream was refused: %s", error)
                with suppress(WebSocketDisconnect, RuntimeError):
                    await websocket.close(1008, str(error)[:100])
                return
        if reason == TRANSFER:
            await leave(self._calls.states, ENDED + call_sid, reason)
        with suppress(WebSocketDisconnect, RuntimeError):  # whoever hung up first has closed it
            await websocket.close()

    async def _form(self, request: Request) -> dict[str, str] | None:
        """The fields of a request of Twilio's; None when it is somebody else's."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LONGEST_FORM:
                return None
        form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        return dict(form) if is_signed(self._token, _told(request), request.headers, form) else None


class _Connection:
    """One stream: the phone of a `Line`."""

    def __init__(self, websocket: WebSocket, call: Call, options: LineOptions) -> None:
        self._websocket = websocket
        self._call = call
        self._options = options
        self._stream = MediaStream()
        self._stream_sid = ""
        self._outbox: asyncio.Queue[dict[str, object]] = asyncio.Queue(N_WAITING)

    async def run(self) -> tuple[str, str]:
        """Until either side ends the call: its name at Twilio's, and why. Raises `StreamError`."""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                started = await self._start()
        except TimeoutError:
            raise StreamError(f"no 'start' came within {START_TIMEOUT_S:.0f} s") from None
        if started is None:
            return "", "closed"
        self._stream_sid = started.stream_sid
        line = Line(self._call, self, Encoding.MULAW, options=self._options)
        talking = asyncio.create_task(line.run())
        tasks = {talking, asyncio.create_task(self._receive(line)), asyncio.create_task(self._send())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # raises what it raised
            return started.call_sid, talking.result() if talking in done else "closed"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def play(self, audio: bytes) -> None:
        """Send audio, which Twilio keeps and plays in order."""
        await self._tell(event="media", media={"payload": base64.b64encode(audio).decode()})

    async def mark(self, number: int) -> None:
        """Ask for a mark, which comes back when all before it was played."""
        await self._tell(event="mark", mark={"name": str(number)})

    async def clear(self) -> None:
        """Have Twilio drop what it has not played."""
        while not self._outbox.empty():
            self._outbox.get_nowait()
        await self._tell(event="clear")

    async def _tell(self, **message: object) -> None:
        await self._outbox.put({"streamSid": self._stream_sid, **message})

    async def _send(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):  # uvicorn raises the latter when it has closed the connection
            while True:
                await self._websocket.send_text(json.dumps(await self._outbox.get()))

    async def _start(self) -> Started | None:
        """The beginning of the call; None when it is over before."""
        while (text := await self._text()) is not None:
            for event in self._stream.receive(text):
                match event:
                    case Started():
                        return event
                    case Stopped():
                        return None
        return None

    async def _receive(self, line: Line) -> None:
        """Tell the line what the caller does, until they hang up."""
        with suppress(TimeoutError):
            while (text := await self._text(self._options.media_timeout_s)) is not None:
                for event in self._stream.receive(text):
                    match event:
                        case Heard() | Missed() | Pressed():
                            await line.take(event)
                        case Marked(name=name):
                            line.heard(int(name) if name.isdecimal() and len(name) < 10 else -1)
                        case Stopped():
                            return

    async def _text(self, timeout_s: float | None = None) -> str | None:
        """The next message; None when the connection is closed. Raises `StreamError` for one that is no text."""
        async with asyncio.timeout(timeout_s):
            message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text = message.get("text")
        if not isinstance(text, str):
            raise StreamError("messages are JSON text, not binary frames")
        return text


def _twiml(verbs: str) -> Response:
    return Response(f'<?xml version="1.0" encoding="UTF-8"?><Response>{verbs}</Response>', media_type="text/xml")
