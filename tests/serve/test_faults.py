"""What one client or one stage does wrong is nobody else's business: the real server, on a real socket.

Only the models are fake. In each test a caller is on the line before the fault and is answered after it.
"""

import asyncio
import base64
import contextlib
import json
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rejoinder.audio import SAMPLE_RATE
from rejoinder.dialogue import DialogueState
from rejoinder.events import Samples, Watcher
from rejoinder.pipeline import Pipeline
from rejoinder.serve.app import create_app
from rejoinder.serve.realtime.audio import Encoding, OutputStream
from rejoinder.serve.settings import Settings
from rejoinder.session import Session, SessionOptions
from tests.fakes import FakeRecognizer, FakeSynthesizer, fake_pipeline, silence, speak
from tests.serve.live import serving
from tests.serve.realtime.serving import FakeAssistant, SureRecognizer

WORDS = "when are you open"
LOUD = 4.0
"""How many times louder a caller speaks whose audio a stage cannot take."""

SETTINGS = Settings(max_sessions=4, max_requests=2, max_body_mb=0.01, body_timeout_s=0.3, requests_per_minute=6000)


class HastyAssistant(FakeAssistant):
    """Waits 0.3 s for a stage, not 15."""

    def session(
        self,
        *,
        options: SessionOptions | None = None,
        state: DialogueState | None = None,
        pipeline: Pipeline | None = None,
        watcher: Watcher | None = None,
    ) -> Session:
        hasty = replace(options or SessionOptions(), stage_timeout_s=0.3)
        return super().session(options=hasty, state=state, pipeline=pipeline, watcher=watcher)


@dataclass
class Server:
    """A running server, and its stages to be broken."""

    place: str
    recognizer: SureRecognizer
    synthesizer: FakeSynthesizer

    async def sessions(self) -> int:
        """How many calls it counts."""
        async with httpx.AsyncClient() as client:
            shown = (await client.get(f"http://{self.place}/metrics")).text
        found = re.search(r"^rejoinder_sessions (\d+)", shown, re.MULTILINE)
        assert found
        return int(found[1])

    async def tasks(self) -> int:
        """How many tasks its event loop has."""
        async with httpx.AsyncClient() as client:
            return int((await client.get(f"http://{self.place}/tasks")).text)

    async def settles(self, n_sessions: int, n_tasks: int) -> None:
        """Wait until only so much is left."""
        async with asyncio.timeout(10):
            while await self.sessions() > n_sessions or await self.tasks() > n_tasks:
                await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    recognizer, synthesizer = SureRecognizer(words=WORDS), FakeSynthesizer()
    app = create_app(HastyAssistant(fake_pipeline(recognizer=recognizer, synthesizer=synthesizer)), SETTINGS)
    app.get("/tasks")(_n_tasks)
    with serving(app, SETTINGS) as url:
        yield Server(url.removeprefix("http://"), recognizer, synthesizer)


async def _n_tasks() -> int:
    return len(asyncio.all_tasks())


@pytest.fixture
async def server(running: Server) -> AsyncIterator[Server]:
    async with asyncio.timeout(10):  # the server sees a moment later that the calls of the test before are over
        while await running.sessions():
            await asyncio.sleep(0.02)
    yield running
    running.recognizer.fail = FakeRecognizer.fail
    running.synthesizer.fail = False


def audio(*pieces: Samples) -> list[str]:
    """The messages that carry some audio."""
    return [
        json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(piece).decode()})
        for piece in OutputStream(Encoding.PCM, SAMPLE_RATE).pieces(np.concatenate(pieces))
    ]


def turn(*, loudness: float = 1.0) -> list[str]:
    """One question, and the silence after it."""
    return audio(silence(0.5), np.asarray(loudness * speak(WORDS), np.float32), silence(1.5))


@asynccontextmanager
async def on_the_line(server: Server) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://{server.place}/v1/realtime", max_size=None) as socket:
        await told(socket, "session.created")
        yield socket


async def told(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """The next event of this type."""
    async with asyncio.timeout(10):
        while True:
            event: dict[str, Any] = json.loads(await socket.recv())
            if event["type"] == kind:
                return event


async def reply(socket: ClientConnection, *, loudness: float = 1.0) -> str:
    """Ask, and hear the answer to its end."""
    for message in turn(loudness=loudness):
        await socket.send(message)
    return str((await told(socket, "response.output_audio_transcript.done"))["transcript"])


async def vanish(socket: ClientConnection) -> None:
    for message in turn()[:10]:
        await socket.send(message)
    socket.transport.abort()


async def garble(socket: ClientConnection) -> None:
    nonsense = ("", "{", "null", b"\x00\xff", "[" * 10_000, '{"type": "session.update", "session": {"type": 7}}')
    for message in nonsense * 5:
        await socket.send(message)
        assert (await told(socket, "error"))["type"] == "error"


async def flood(socket: ClientConnection) -> None:
    """Two minutes of audio at once, and nothing is read."""
    message = audio(speak(WORDS), silence(20 - 0.8))
    with contextlib.suppress(TimeoutError, ConnectionClosed):
        async with asyncio.timeout(1.0):
            for _ in range(6):
                for piece in message:
                    await socket.send(piece)
    socket.transport.abort()


async def oversize(socket: ClientConnection) -> None:
    """A message that no server should hold in memory."""
    with contextlib.suppress(ConnectionClosed):
        await socket.send("x" * 20_000_000)
        await socket.recv()


async def stall(socket: ClientConnection) -> None:
    """Ask, then neither read nor send."""
    socket.transport.pause_reading()
    for message in turn() * 3:
        await socket.send(message)
    await asyncio.sleep(0.5)
    socket.transport.abort()


async def call_again_and_again(socket: ClientConnection) -> None:
    await socket.close()


@pytest.mark.parametrize("fault", [vanish, garble, flood, oversize, stall, call_again_and_again])
async def test_a_faulty_client_harms_nobody_and_leaves_nothing(
    server: Server, fault: Callable[[ClientConnection], Awaitable[None]]
) -> None:
    async with on_the_line(server) as caller:
        assert "From seven" in await reply(caller)
        n_tasks, n_threads = await server.tasks(), threading.active_count()
        asking = asyncio.create_task(reply(caller))
        for _ in range(3):
            async with on_the_line(server) as faulty:
                await fault(faulty)
        assert "From seven" in await asking
        await server.settles(1, n_tasks)
        assert threading.active_count() <= n_threads
    await server.settles(0, n_tasks)


async def test_a_stage_that_raises_is_an_apology_to_one_caller(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.recognizer.fail = lambda samples: float(np.abs(samples).max()) > 0.25
    async with on_the_line(server) as caller, on_the_line(server) as unlucky:
        sorry, answer = await asyncio.gather(reply(unlucky, loudness=LOUD), reply(caller))
        assert "From seven" in answer
        assert "From seven" not in sorry
        assert "From seven" in await reply(unlucky)
    assert "recognition failed: RuntimeError" in caplog.messages
    assert "the words that were said" not in caplog.text


async def test_a_voice_that_fails_leaves_the_call_alive(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    async with on_the_line(server) as caller:
        server.synthesizer.fail = True
        for message in turn():
            await caller.send(message)
        response = (await told(caller, "response.done"))["response"]
        assert response["status"] == "failed"
        server.synthesizer.fail = False
        assert "From seven" in await reply(caller)
    assert "synthesis failed: RuntimeError" in caplog.messages


async def test_a_stage_that_hangs_takes_no_thread_from_the_others(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    go = threading.Event()

    def hangs(samples: Samples) -> bool:
        return float(np.abs(samples).max()) > 0.25 and go.wait(30) and False

    server.recognizer.fail = hangs
    try:
        async with on_the_line(server) as caller, on_the_line(server) as unlucky, on_the_line(server) as another:
            sorry = await asyncio.gather(reply(unlucky, loudness=LOUD), reply(another, loudness=LOUD))
            assert not any("From seven" in text for text in sorry)
            assert "From seven" in await reply(caller)  # more calls hang by now than there are threads
    finally:
        go.set()
    assert "recognition failed: took too long" in caplog.messages
    assert "a call hangs: its thread is replaced" in caplog.messages


async def test_a_call_too_many_is_asked_to_come_back(server: Server) -> None:
    async with contextlib.AsyncExitStack() as calls:
        callers = [await calls.enter_async_context(on_the_line(server)) for _ in range(SETTINGS.max_sessions)]
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{server.place}/v1/realtime")
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"]
        assert "From seven" in await reply(callers[0])
        assert await server.sessions() == SETTINGS.max_sessions
    await server.settles(0, await server.tasks())
    async with on_the_line(server) as caller:
        assert "From seven" in await reply(caller)


async def test_requests_that_are_refused_do_not_disturb_a_call(server: Server) -> None:
    url = f"http://{server.place}/v1/audio/speech"

    async def trickle() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(1)

    async with on_the_line(server) as caller, httpx.AsyncClient() as client:
        asking = asyncio.create_task(reply(caller))
        late = await client.post(url, content=trickle(), headers={"content-type": "application/json"})
        large = await client.post(url, json={"input": "x" * 20_000})
        assert (late.status_code, large.status_code) == (408, 413)
        assert "From seven" in await asking


async def test_one_who_asks_too_often_is_slowed_down_and_calls_go_on() -> None:
    settings = Settings(requests_per_minute=5)
    app = create_app(FakeAssistant(fake_pipeline(recognizer=SureRecognizer(words=WORDS))), settings)
    with serving(app, settings) as url:
        server = Server(url.removeprefix("http://"), SureRecognizer(), FakeSynthesizer())
        async with on_the_line(server) as caller, httpx.AsyncClient() as client:
            answers = [await client.get(f"{url}/v1/models") for _ in range(8)]
            assert [answer.status_code for answer in answers] == [200] * 4 + [429] * 4
            assert answers[-1].headers["Retry-After"]
            assert "From seven" in await reply(caller)
