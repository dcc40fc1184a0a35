"""A server on loopback with one route, and an assistant whose stages are fake."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from openai import AsyncOpenAI
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect

from rejoinder import Assistant
from rejoinder.asr.recognizer import Bias, Transcript
from rejoinder.dialogue import DialogueState
from rejoinder.events import Samples, Watcher
from rejoinder.pipeline import Pipeline
from rejoinder.serve.calls import Calls
from rejoinder.serve.realtime.endpoint import RealtimeOptions, realtime
from rejoinder.serve.realtime.protocol import ServerEvent
from rejoinder.serve.settings import Settings
from rejoinder.session import Session, SessionOptions
from rejoinder.workers import Workers
from tests.fakes import FakeRecognizer, FakeVad
from tests.serve.realtime.wire import check


@dataclass
class SureRecognizer(FakeRecognizer):
    """Hears the same words in any audio: resampling takes the fake speech apart."""

    words: str = "when are you open"

    def transcribe(
        self, samples: Samples, *, bias: Bias | None = None, draft: Transcript | None = None, n_best: int = 1
    ) -> Transcript:
        super().transcribe(samples, bias=bias, draft=draft, n_best=n_best)
        return Transcript(self.words, confidence=0.9)


class FakeAssistant(Assistant):
    """Sessions with a fake ear as well; remembers them."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(pipeline, Workers(2))
        self.sessions: list[Session] = []

    def session(
        self,
        *,
        options: SessionOptions | None = None,
        state: DialogueState | None = None,
        pipeline: Pipeline | None = None,
        watcher: Watcher | None = None,
    ) -> Session:
        vad: Any = FakeVad()
        stages = pipeline or self.pipeline
        self.sessions.append(Session(stages, self.workers, vad, options=options, state=state, watcher=watcher))
        return self.sessions[-1]


@asynccontextmanager
async def serving(assistant: Assistant, options: RealtimeOptions | None = None) -> AsyncIterator[int]:
    """The port of a server whose only route is `/v1/realtime`."""
    calls = Calls(assistant, Settings())

    async def route(websocket: WebSocket) -> None:
        with calls.answer("realtime", admit=False) as call:
            await realtime(websocket, call, options=options)

    app = Starlette(routes=[WebSocketRoute("/v1/realtime", route)])
    config = uvicorn.Config(app, host="127.0.0.1", port=0, ws="websockets-sansio", lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        port: int = server.servers[0].sockets[0].getsockname()[1]
        yield port
    finally:
        server.should_exit = True
        await running


@dataclass
class Client:
    """One raw connection; every event it gets is held against the SDK's models."""

    socket: ClientConnection
    events: list[ServerEvent] = field(default_factory=list)

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def until(self, kind: str) -> ServerEvent:
        """Take events up to the next one of this type."""
        while True:
            event: ServerEvent = json.loads(await asyncio.wait_for(self.socket.recv(), 60))
            check(event)
            self.events.append(event)
            if event["type"] == kind:
                return event

    async def refused(self) -> tuple[str, str | None]:
        """The code and the client's event id of the next error."""
        error = (await self.until("error"))["error"]
        return error["code"], error["event_id"]


@asynccontextmanager
async def connected(port: int, query: str = "", **options: Any) -> AsyncIterator[Client]:
    """A client that has been greeted by `session.created`."""
    async with connect(f"ws://127.0.0.1:{port}/v1/realtime{query}", max_size=None, **options) as socket:
        client = Client(socket)
        await client.until("session.created")
        yield client


def openai_client(port: int) -> AsyncOpenAI:
    return AsyncOpenAI(api_key="sk-test", base_url=f"http://127.0.0.1:{port}/v1")
