"""Twilio's door, called by a program of our own and by Twilio's simulator."""

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send
from streamdouble.api import call  # type: ignore[import-untyped]
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rejoinder.audio import SAMPLE_RATE, frames, from_mulaw, resample, to_mulaw
from rejoinder.errors import SettingsError
from rejoinder.events import Samples
from rejoinder.serve.calls import Calls
from rejoinder.serve.cluster.rooted import Rooted
from rejoinder.serve.settings import Settings
from rejoinder.serve.states import MemoryStates
from rejoinder.serve.telephony.line import LineOptions
from rejoinder.serve.telephony.twilio import router, signature
from rejoinder.session import SessionOptions
from tests.fakes import fake_pipeline
from tests.serve.live import serving
from tests.serve.realtime.serving import FakeAssistant, SureRecognizer
from tests.serve.telephony.test_media_stream import start
from tests.serve.telephony.test_sip import HUM, Notes, transferring_pipeline

TOKEN = "0123456789abcdef"
SILENCE = b"\xff" * 160


def hum(seconds: float) -> list[bytes]:
    """Messages' worth of what the fake ear takes for speech."""
    samples: Samples = resample(np.tile(HUM, 4)[: round(seconds * SAMPLE_RATE)], SAMPLE_RATE, 8000)
    return [to_mulaw(frame).tobytes() for frame in frames(samples, 160)]


class Signed:
    """Signs whatever comes, for clients that cannot."""

    def __init__(self, app: ASGIApp, token: str = TOKEN) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            host = dict(scope["headers"])[b"host"].decode()
            signed = signature(self._token, f"ws://{host}{scope['path']}").encode()
            scope = {**scope, "headers": [*scope["headers"], (b"x-twilio-signature", signed)]}
        await self._app(scope, receive, send)


class Stream:
    """A media stream of our own."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.n_sent = 0

    async def say(self, audio: list[bytes]) -> None:
        for payload in audio:
            media = {"track": "inbound", "chunk": str(self.n_sent + 1), "timestamp": str(20 * self.n_sent)}
            media["payload"] = base64.b64encode(payload).decode()
            await self.tell(event="media", media=media)
            self.n_sent += 1

    async def tell(self, **message: Any) -> None:
        await self.socket.send(json.dumps({"streamSid": "MZ1", **message}))

    async def until(self, event: str) -> tuple[dict[str, Any], Samples]:
        """The next message of a kind, and what was heard before it, at 8 kHz."""
        audio = b""
        while (message := json.loads(await self.socket.recv()))["event"] != event:
            assert message["streamSid"] == "MZ1"
            assert message["event"] == "media"
            audio += base64.b64decode(message["media"]["payload"])
        return message, from_mulaw(np.frombuffer(audio, np.uint8))


@pytest.fixture(scope="module")
def notes() -> Notes:
    return Notes()


@pytest.fixture(scope="module")
def server(notes: Notes) -> Iterator[str]:
    """The host and port of a server with this door only."""
    assistant = FakeAssistant(transferring_pipeline())
    calls = Calls(assistant, Settings(), watchers=[lambda _: notes])
    app = FastAPI()
    app.state.calls = calls
    options = LineOptions(session=SessionOptions())
    app.include_router(router(calls, token=TOKEN, transfer_to="+15550100", options=options))
    app.add_middleware(Signed)
    with serving(app) as url:
        yield url.removeprefix("http://")
    assistant.close()


@pytest.fixture
async def stream(server: str) -> Any:
    async with asyncio.timeout(30), connect(f"ws://{server}/twilio") as socket:
        stream = Stream(socket)
        await stream.tell(event="connected", protocol="Call", version="1.0.0")
        await socket.send(start())
        yield stream


async def test_a_caller_is_heard_and_answered(stream: Stream) -> None:
    await stream.say([*hum(1), *[SILENCE] * 60])
    mark, audio = await stream.until("mark")
    assert np.sum(np.abs(audio) > 0.05) / 8000 == pytest.approx(2.7, abs=0.1)
    await stream.tell(event="mark", mark=mark["mark"])
    await stream.tell(event="stop", stop={"callSid": "CA1"})
    with pytest.raises(ConnectionClosed):
        await stream.socket.recv()


async def test_an_interruption_clears_what_was_sent(stream: Stream) -> None:
    await stream.say([*hum(1), *[SILENCE] * 60])
    await stream.until("mark")
    await stream.say([SILENCE] * 40)
    await stream.say(hum(2))
    await stream.until("clear")


async def test_what_was_heard_whole_is_not_cleared(stream: Stream) -> None:
    await stream.say([*hum(1), *[SILENCE] * 60])
    mark, _ = await stream.until("mark")
    await stream.tell(event="mark", mark=mark["mark"])
    await stream.say([*[SILENCE] * 40, *hum(1), *[SILENCE] * 60])
    await stream.until("mark")  # nothing but audio comes before it


async def test_keys_are_a_turn_that_can_hand_the_caller_over(stream: Stream, server: str) -> None:
    for key in "0#":
        await stream.tell(event="dtmf", dtmf={"track": "inbound_track", "digit": key})
    mark, audio = await stream.until("mark")
    assert len(audio)
    await stream.tell(event="mark", mark=mark["mark"])
    with pytest.raises(ConnectionClosed):
        await stream.socket.recv()
    form = {"CallSid": "CA1", "CallStatus": "in-progress"}
    assert "<Dial>+15550100</Dial>" in (await posted(server, "/twilio/ended", form)).text
    assert "<Hangup/>" in (await posted(server, "/twilio/ended", form)).text


async def test_another_replica_below_a_prefix_hands_the_caller_over() -> None:
    """On a cluster Twilio's question of what is next is anyone's to answer."""
    assistant, states, replicas = FakeAssistant(transferring_pipeline()), MemoryStates(), []
    for _ in range(2):
        app = FastAPI()
        app.state.calls = calls = Calls(assistant, Settings(), states=states)
        options = LineOptions(session=SessionOptions())
        app.include_router(router(calls, token=TOKEN, transfer_to="+15550100", options=options))
        replicas.append(app)

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        await Rooted(replicas[scope["type"] == "websocket"])(scope, receive, send)

    cluster = FastAPI()
    cluster.state.calls = calls
    cluster.mount("/shop", either)
    cluster.add_middleware(Signed)
    with serving(cluster) as url:
        place = url.removeprefix("http://")
        twiml = (await posted(place, "/shop/twilio/voice", {"CallSid": "CA1"})).text
        assert f'<Connect action="/shop/twilio/ended"><Stream url="wss://{place}/shop/twilio"/></Connect>' in twiml
        async with asyncio.timeout(30), connect(f"ws://{place}/shop/twilio") as socket:
            stream = Stream(socket)
            await socket.send(start())
            for key in "0#":
                await stream.tell(event="dtmf", dtmf={"track": "inbound_track", "digit": key})
            mark, _ = await stream.until("mark")
            await stream.tell(event="mark", mark=mark["mark"])
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        assert "<Dial>+15550100</Dial>" in (await posted(place, "/shop/twilio/ended", {"CallSid": "CA1"})).text
    assistant.close()


async def posted(server: str, path: str, form: dict[str, str], *, signed: str | None = None) -> httpx.Response:
    """Twilio's webhook, which signs the address that a proxy in front of us has."""
    signed = signed or signature(TOKEN, f"https://{server}{path}", list(form.items()))
    headers = {"X-Twilio-Signature": signed, "Content-Type": "application/x-www-form-urlencoded"}
    async with httpx.AsyncClient() as http:
        return await http.post(f"http://{server}{path}", content=urlencode(form), headers=headers)


async def test_the_webhook_connects_the_call(server: str) -> None:
    answer = await posted(server, "/twilio/voice", {"CallSid": "CA1", "From": "+15550111", "Empty": ""})
    assert answer.headers["content-type"].startswith("text/xml")
    assert f'<Connect action="/twilio/ended"><Stream url="wss://{server}/twilio"/></Connect>' in answer.text


async def test_others_are_refused(server: str) -> None:
    assert (await posted(server, "/twilio/voice", {"CallSid": "CA1"}, signed="wrong")).status_code == 403
    other = signature(TOKEN, f"https://{server}/twilio/voice", [("CallSid", "CA2")])
    assert (await posted(server, "/twilio/voice", {"CallSid": "CA1"}, signed=other)).status_code == 403


async def test_an_unsigned_stream_is_refused() -> None:
    assistant = FakeAssistant(fake_pipeline(recognizer=SureRecognizer()))
    calls = Calls(assistant, Settings())
    app = FastAPI()
    app.state.calls = calls
    app.include_router(router(calls, token="another"))
    app.add_middleware(Signed)
    with serving(app) as url, pytest.raises(InvalidStatus, match="403"):
        await connect(url.replace("http", "ws") + "/twilio")
    assistant.close()


def test_without_a_token_there_is_no_door() -> None:
    assistant = FakeAssistant(fake_pipeline())
    with pytest.raises(SettingsError, match="auth token"):
        router(Calls(assistant, Settings()), token=" \n")
    assistant.close()


def test_the_signature_is_twilios() -> None:
    """The example of https://www.twilio.com/docs/usage/security."""
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert signature("12345", url, list(form.items())) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


@pytest.mark.parametrize(
    "messages",
    [[start(sampleRate=16000)], ["{"], [start(), start()], ['{"event": "dtmf", "dtmf": {"digit": "1"}}'], [b"\0"]],
)
async def test_a_stream_that_is_none_is_closed_with_the_reason(server: str, messages: list[Any]) -> None:
    async with connect(f"ws://{server}/twilio") as socket:
        for message in messages:
            await socket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert closed.value.rcvd.reason


async def test_twilios_simulator_finds_nothing_wrong(server: str) -> None:
    report = await call(f"ws://{server}/twilio", frames=[*hum(1), *[SILENCE] * 60])
    assert report.violations == []
    assert report.spoke
    assert report.exit_code == 0
