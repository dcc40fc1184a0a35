"""A server with the doors of a browser, and aiortc as the caller."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import httpx
import numpy as np
import uvicorn
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av import AudioFrame
from fastapi import FastAPI

from rejoinder import Assistant
from rejoinder.audio import SAMPLE_RATE, to_int16
from rejoinder.events import Samples
from rejoinder.serve import secrets
from rejoinder.serve.api_errors import add_handlers
from rejoinder.serve.calls import Calls
from rejoinder.serve.realtime.protocol import ServerEvent
from rejoinder.serve.settings import Settings
from rejoinder.serve.webrtc.door import WebRtc
from tests.serve.realtime.wire import check

N_FRAME = SAMPLE_RATE // 50


@dataclass
class Server:
    url: str
    calls: Calls
    door: WebRtc


@asynccontextmanager
async def serving(assistant: Assistant, settings: Settings | None = None) -> AsyncIterator[Server]:
    """A server on loopback with `/v1/realtime/calls` and `/v1/realtime/client_secrets`."""
    calls = Calls(assistant, settings or Settings())
    known = secrets.Secrets()
    door = WebRtc(calls, known)
    app = FastAPI()
    add_handlers(app)
    app.include_router(door.router())
    app.include_router(secrets.router(known))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield Server(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", calls, door)
    finally:
        server.should_exit = True
        await running


class Voice(MediaStreamTrack):
    """What the caller says: silence, until something is to be said; at the pace of the clock."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._rest = np.zeros(0, np.float32)
        self._began_s: float | None = None
        self._n = 0

    def say(self, *audio: Samples) -> None:
        self._rest = np.concatenate([self._rest, *audio])

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        self._began_s = self._began_s or loop.time()
        await asyncio.sleep(max(0.0, self._began_s + self._n * 0.02 - loop.time()))
        samples, self._rest = self._rest[:N_FRAME], self._rest[N_FRAME:]
        frame = AudioFrame(format="s16", layout="mono", samples=N_FRAME)
        frame.planes[0].update(to_int16(np.pad(samples, (0, N_FRAME - len(samples)))).tobytes())
        frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), self._n * N_FRAME
        self._n += 1
        return frame


@dataclass
class Caller:
    """One peer; every event that it gets is held against the SDK's models."""

    peer: RTCPeerConnection
    voice: Voice
    location: str = ""
    events: list[ServerEvent] = field(default_factory=list)
    inbox: "asyncio.Queue[ServerEvent]" = field(default_factory=asyncio.Queue)
    n_loud: int = 0
    """Frames that were heard and were no silence."""
    channel: Any = None

    async def send(self, kind: str, **fields: Any) -> None:
        self.channel.send(json.dumps({"type": kind, **fields}))

    async def until(self, kind: str) -> ServerEvent:
        while True:
            event = await asyncio.wait_for(self.inbox.get(), 60)
            check(event)
            self.events.append(event)
            if event["type"] == kind:
                return event

    async def listen(self, track: MediaStreamTrack) -> None:
        while isinstance(frame := await track.recv(), AudioFrame):
            self.n_loud += bool(np.abs(frame.to_ndarray()).max() > 300)


@asynccontextmanager
async def calling(
    server: Server, *, session: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> AsyncIterator[Caller]:
    """A caller who has been greeted by `session.created`."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    caller = Caller(peer, Voice())
    peer.addTrack(caller.voice)
    caller.channel = peer.createDataChannel("oai-events")
    caller.channel.on("message", lambda text: caller.inbox.put_nowait(json.loads(text)))
    listening: list[asyncio.Task[None]] = []
    peer.on("track", lambda track: listening.append(asyncio.create_task(caller.listen(track))))
    try:
        await peer.setLocalDescription(await peer.createOffer())
        sdp = peer.localDescription.sdp
        async with httpx.AsyncClient(base_url=server.url) as http:
            if session is None:
                answer = await http.post(
                    "/v1/realtime/calls", content=sdp, headers={"Content-Type": "application/sdp", **(headers or {})}
                )
            else:
                parts = {
                    "sdp": (None, sdp, "application/sdp"),
                    "session": (None, json.dumps(session), "application/json"),
                }
                answer = await http.post("/v1/realtime/calls", files=parts, headers=headers)
        assert answer.status_code == 201, answer.text
        assert answer.headers["content-type"].startswith("application/sdp")
        caller.location = answer.headers["location"]
        await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        await caller.until("session.created")
        yield caller
    finally:
        await peer.close()
        await asyncio.gather(*listening, return_exceptions=True)
