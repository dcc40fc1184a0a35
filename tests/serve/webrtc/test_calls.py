"""Calls by WebRTC with fake stages: aiortc speaks, hears, interrupts, hangs up and vanishes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from rejoinder.events import Samples
from rejoinder.serve.settings import Settings
from tests.fakes import FakeSynthesizer, fake_pipeline, silence, speak
from tests.serve.realtime.serving import FakeAssistant, SureRecognizer
from tests.serve.realtime.wire import kinds, the
from tests.serve.webrtc.calling import Caller, Server, calling, serving

HELLO = speak("when are you open")


class Humming(FakeSynthesizer):
    """The fake voice as a tone: Opus leaves out what does not change."""

    def synthesize(self, text: str) -> Iterator[Samples]:
        for clause in super().synthesize(text):
            yield (clause * np.sin(np.arange(len(clause)) * 2 * np.pi * 300 / self.sample_rate)).astype(np.float32)


@pytest.fixture
async def assistant() -> AsyncIterator[FakeAssistant]:
    recognizer = SureRecognizer(words="when are you open")
    made = FakeAssistant(fake_pipeline(recognizer=recognizer, synthesizer=Humming()))
    yield made
    made.close()


@pytest.fixture
async def server(assistant: FakeAssistant) -> AsyncIterator[Server]:
    async with serving(assistant) as running:
        yield running


async def ended(server: Server) -> None:
    """Wait until no call is left."""
    async with asyncio.timeout(60):
        while server.calls.admission.n_inside:
            await asyncio.sleep(0.02)


async def test_a_caller_speaks_and_hears_the_answer(server: Server) -> None:
    async with calling(server) as caller:
        caller.voice.say(silence(0.3), HELLO)
        await caller.until("output_audio_buffer.stopped")
        done = the("response.done", caller.events)["response"]
        assert done["output"][0]["content"][0]["transcript"].startswith("From seven")
        assert done["usage"]["output_token_details"]["audio_tokens"] == 54
        heard = kinds(caller.events)
        assert heard.index("response.created") < heard.index("output_audio_buffer.started")
        assert "response.output_audio.delta" not in heard
        assert "response.output_audio.done" in heard
        assert caller.n_loud == pytest.approx(135, abs=15)  # 2.7 s
        assert the("output_audio_buffer.started", caller.events)["response_id"] == done["id"]
    await ended(server)


async def test_a_caller_interrupts(server: Server) -> None:
    async with calling(server) as caller:
        caller.voice.say(silence(0.3), HELLO)
        await caller.until("output_audio_buffer.started")
        caller.voice.say(silence(0.9), HELLO)  # any sooner, and it would be the rest of the question
        await caller.until("output_audio_buffer.cleared")
        truncated = await caller.until("conversation.item.truncated")
        reply = next(event for event in caller.events if event["type"] == "response.output_item.added")
        assert truncated["item_id"] == reply["item"]["id"]
        assert 0 < truncated["audio_end_ms"] < 2600
        await caller.until("output_audio_buffer.stopped")


async def test_the_session_comes_with_the_offer_or_with_a_secret(server: Server) -> None:
    session = {"type": "realtime", "output_modalities": ["text"], "audio": {"input": {"turn_detection": None}}}
    async with calling(server, session=session) as caller:
        assert caller.events[0]["session"]["output_modalities"] == ["text"]
    async with httpx.AsyncClient(base_url=server.url) as http:
        made = await http.post("/v1/realtime/client_secrets", json={"session": session})
    bearer = {"Authorization": f"Bearer {made.json()['value']}"}
    async with calling(server, headers=bearer) as caller:
        assert caller.events[0]["session"]["output_modalities"] == ["text"]
        content = [{"type": "input_text", "text": "when are you open"}]
        await caller.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await caller.send("response.create")
        await caller.until("response.done")
        assert not any(event["type"].startswith("output_audio_buffer") for event in caller.events)
    await ended(server)


async def hung_up(caller: Caller) -> None:
    async with asyncio.timeout(60):
        while caller.peer.connectionState not in ("closed", "failed") and caller.channel.readyState != "closed":
            await asyncio.sleep(0.02)


async def test_either_side_hangs_up(server: Server, assistant: FakeAssistant) -> None:
    async with calling(server) as caller, httpx.AsyncClient(base_url=server.url) as http:
        assert server.calls.admission.n_inside == 1
        assert (await http.post("/v1/realtime/calls/call_0/hangup")).status_code == 404
        assert (await http.post(f"{caller.location}/hangup")).status_code == 200
        await hung_up(caller)
        assert (await http.post(f"{caller.location}/hangup")).status_code == 404
    async with calling(server) as caller:
        caller.voice.say(HELLO)
        await caller.until("input_audio_buffer.speech_started")
    await ended(server)
    for session in assistant.sessions:
        await asyncio.wait_for(session.close(), 60)


async def test_what_is_being_said_can_be_cleared(server: Server) -> None:
    async with calling(server) as caller:
        await caller.send("response.create")
        await caller.until("output_audio_buffer.started")
        await caller.send("output_audio_buffer.clear")
        await caller.until("output_audio_buffer.cleared")


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        ("", "application/sdp", 400),
        ("v=0", "application/sdp", 400),
        ("v=0\r\nm=audio x y z\r\n", "application/sdp", 400),
        ("a" * 70_000, "application/sdp", 400),
        ("v=0", "text/plain", 415),
    ],
)
async def test_what_is_no_offer_is_refused(server: Server, content: str, kind: str, status: int) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.post("/v1/realtime/calls", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert server.calls.admission.n_inside == 0


@pytest.mark.parametrize("session", ["[]", "{", '{"type": "realtime", "fly": true}', "\x00"])
async def test_a_session_that_cannot_be_is_refused(server: Server, session: str) -> None:
    parts: Any = {"sdp": (None, "v=0"), "session": (None, session)}
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.post("/v1/realtime/calls", files=parts)
    assert answer.status_code == 400, answer.text


async def test_one_call_too_many_is_asked_to_come_back(assistant: FakeAssistant) -> None:
    async with serving(assistant, Settings(max_sessions=1)) as server, calling(server):
        with pytest.raises(AssertionError, match="overloaded"):
            async with calling(server):
                pass
