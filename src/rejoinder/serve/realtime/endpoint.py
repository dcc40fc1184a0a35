"""The Realtime WebSocket."""

from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from rejoinder.serve.calls import Call
from rejoinder.serve.realtime.connection import Connection, GoneError, RealtimeOptions
from rejoinder.serve.realtime.protocol import ConversationSettings, TranscriptionSettings, opened

__all__ = ["RealtimeOptions", "realtime"]


async def realtime(
    websocket: WebSocket, call: Call, *, session: dict[str, Any] | None = None, options: RealtimeOptions | None = None
) -> None:
    """Serve one client, who has been let in, until either side ends it.

    `session` is what it begins with, when its client secret was made for one; otherwise `?intent=transcription` only
    writes down, and `?model=` is echoed.
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
    await Connection(_Socket(websocket), call, settings, options=options).run()


class _Socket:
    """A WebSocket as a transport."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def receive(self) -> str | bytes | None:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text = message.get("text")
        return text if text is not None else bytes(message.get("bytes") or b"")

    async def send(self, text: str) -> None:
        try:
            await self._websocket.send_text(text)
        except (WebSocketDisconnect, RuntimeError):  # uvicorn raises the latter when it has closed the connection
            raise GoneError from None

    async def close(self) -> None:
        try:
            await self._websocket.close()
        except (WebSocketDisconnect, RuntimeError):
            raise GoneError from None
