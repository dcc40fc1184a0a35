"""The Realtime WebSocket."""

import secrets
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from rejoinder.serve.calls import Call
from rejoinder.serve.realtime.connection import Connection, GoneError, RealtimeOptions
from rejoinder.serve.realtime.protocol import ConversationSettings, TranscriptionSettings, opened

HUNG_UP = 1000
"""Code with which a WebSocket ends as intended."""

__all__ = ["RealtimeOptions", "realtime"]


async def realtime(
    websocket: WebSocket, call: Call, *, session: dict[str, Any] | None = None, options: RealtimeOptions | None = None
) -> None:
    """Serve one client, who has been let in, until either side ends it.

    `session` is what it begins with, when its client secret was made for one; otherwise `?intent=transcription` only
    writes down, and `?model=` is echoed. `?resume=` and the id of a session whose connection was lost go on with its
    dialogue: then the session has that id again.
    """
    offered = websocket.scope.get("subprotocols") or ()
    await websocket.accept(subprotocol="realtime" if "realtime" in offered else None)
    settings: ConversationSettings | TranscriptionSettings
    if session:
        settings = opened(session)
    elif websocket.query_params.get("intent") == "transcription":
        settings = TranscriptionSettings(type="transcription")
    else:
        settings = ConversationSettings(type="realtime", model=websocket.query_params.get("model") or "rejoinder")
    keeper = await call.keeper(websocket.query_params.get("resume"), new=f"sess_{secrets.token_hex(10)}")
    transport = _Socket(websocket)
    try:
        await Connection(transport, call, settings, options=options, keeper=keeper).run()
    finally:
        await keeper.end(goes_on=not transport.ended)


class _Socket:
    """A WebSocket as a transport."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self.ended = False
        """Whether one side has hung up; otherwise the client was lost."""

    async def receive(self) -> str | bytes | None:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            self.ended = self.ended or message.get("code") == HUNG_UP
            return None
        text = message.get("text")
        return text if text is not None else bytes(message.get("bytes") or b"")

    async def send(self, text: str) -> None:
        try:
            await self._websocket.send_text(text)
        except (WebSocketDisconnect, RuntimeError):  # uvicorn raises the latter when it has closed the connection
            raise GoneError from None

    async def close(self) -> None:
        self.ended = True
        try:
            await self._websocket.close()
        except (WebSocketDisconnect, RuntimeError):
            raise GoneError from None
