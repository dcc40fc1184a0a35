"""The WebSocket with fake stages: modes, refusals, callers who misbehave."""

import asyncio
import base64
from collections.abc import AsyncIterator

import numpy as np
import pytest

from rejoinder import assistant as assistant_module
from rejoinder.audio import SAMPLE_RATE
from rejoinder.events import Samples
from rejoinder.serve.realtime.audio import Encoding, OutputStream
from rejoinder.serve.realtime.endpoint import RealtimeOptions
from tests.fakes import FakeSynthesizer, FakeVad, fake_pipeline, silence, speak
from tests.serve.realtime.serving import Client, FakeAssistant, SureRecognizer, connected, openai_client, serving
from tests.serve.realtime.wire import the

HELLO = speak("when are you open")
ANSWER = "From seven to six, every day of the week."


def an_assistant(words: str = "when are you open", synthesizer: FakeSynthesizer | None = None) -> FakeAssistant:
    return FakeAssistant(fake_pipeline(recognizer=SureRecognizer(words=words), synthesizer=synthesizer))


@pytest.fixture
async def assistant() -> AsyncIterator[FakeAssistant]:
    made = an_assistant()
    yield made
    made.close()


@pytest.fixture
async def port(assistant: FakeAssistant) -> AsyncIterator[int]:
    async with serving(assistant, RealtimeOptions(longest_message=1_000_000, longest_buffer_s=5.0)) as port:
        yield port


async def say(client: Client, *audio: Samples, encoding: Encoding = Encoding.PCM) -> None:
    """Send audio in pieces of 100 ms."""
    for piece in OutputStream(encoding, SAMPLE_RATE).pieces(np.concatenate(audio)):
        await client.send("input_audio_buffer.append", audio=base64.b64encode(piece).decode())


def audio_bytes(client: Client) -> int:
    deltas = [event["delta"] for event in client.events if event["type"] == "response.output_audio.delta"]
    return sum(len(base64.b64decode(delta)) for delta in deltas)


@pytest.mark.parametrize("encoding", Encoding)
async def test_a_spoken_question_is_answered_in_every_format(port: int, encoding: Encoding) -> None:
    async with connected(port, "?model=cafe") as client:
        form = {"format": {"type": encoding.value}}
        await client.send("session.update", session={"type": "realtime", "audio": {"input": form, "output": form}})
        updated = await client.until("session.updated")
        assert updated["session"]["audio"]["output"]["format"]["type"] == encoding.value
        assert updated["session"]["model"] == "cafe"
        await say(client, silence(0.5), HELLO, silence(1.5), encoding=encoding)
        done = await client.until("response.done")
        assert done["response"]["output"][0]["content"] == [{"type": "output_audio", "transcript": ANSWER}]
        assert audio_bytes(client) == pytest.approx(9 * 0.3 * encoding.sample_rate * encoding.n_bytes, rel=0.01)
        transcribed = the("conversation.item.input_audio_transcription.completed", client.events)
        assert transcribed["transcript"] == "when are you open"


async def test_speech_over_a_reply_interrupts_it(port: int) -> None:
    async with connected(port) as client:
        await say(client, silence(0.5), HELLO, silence(1.0))
        await client.until("response.output_audio.delta")
        await say(client, *[HELLO] * 2, silence(1.0))
        await client.until("input_audio_buffer.speech_started")
        await client.until("input_audio_buffer.committed")
        reply = next(event for event in client.events if event["type"] == "response.output_item.added")
        where = {"item_id": reply["item"]["id"], "content_index": 0, "audio_end_ms": 300}
        await client.send("conversation.item.truncate", **where)
        await client.until("conversation.item.truncated")


async def test_the_client_may_end_the_turns_itself(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assistant_module, "probabilities", lambda samples: [FakeVad()(samples)] * (len(samples) // 512))
    async with connected(port) as client:
        session = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        await client.send("session.update", session=session)
        await client.send("input_audio_buffer.commit", event_id="e1")
        assert await client.refused() == ("input_audio_buffer_commit_empty", "e1")
        await say(client, HELLO)
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        await say(client, HELLO)
        await client.send("input_audio_buffer.commit")
        await client.send("response.create")
        await client.until("response.done")
        assert the("input_audio_buffer.committed", client.events)["previous_item_id"] is None
        assert audio_bytes(client) == 9 * 7200 * 2
        await say(client, silence(6.0))
        assert await client.refused() == ("input_audio_buffer_full", None)


async def test_a_committed_turn_without_words_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assistant_module, "probabilities", lambda samples: [FakeVad()(samples)] * (len(samples) // 512))
    mute = an_assistant(words="")
    async with serving(mute) as port, connected(port) as client:
        session = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        await client.send("session.update", session=session)
        await say(client, HELLO)
        await client.send("input_audio_buffer.commit")
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "completed"
        assert done["output"][0]["content"][0]["transcript"] in mute.domain.replies.not_understood
    mute.close()


async def test_a_commit_ends_a_turn_of_the_sessions_own(port: int) -> None:
    async with connected(port) as client:
        await say(client, HELLO)
        await client.until("input_audio_buffer.speech_started")
        await client.send("input_audio_buffer.commit")
        await client.until("response.done")


async def test_a_turn_is_only_written_down_until_a_response_is_asked_for(port: int, assistant: FakeAssistant) -> None:
    async with connected(port) as client:
        detection = {"type": "server_vad", "create_response": False}
        await client.send(
            "session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        )
        await say(client, HELLO, silence(1.5))
        await client.until("conversation.item.input_audio_transcription.completed")
        assert (
            not isinstance(assistant.pipeline.synthesizer, FakeSynthesizer) or not assistant.pipeline.synthesizer.spoken
        )
        await client.send("response.create")
        await client.until("response.done")
        assert audio_bytes(client) > 0


async def test_a_transcription_session_answers_nothing(port: int, assistant: FakeAssistant) -> None:
    async with connected(port, "?intent=transcription") as client:
        assert client.events[0]["session"]["type"] == "transcription"
        await say(client, HELLO, silence(1.5), HELLO, silence(1.5))
        for _ in range(2):
            await client.until("conversation.item.input_audio_transcription.completed")
        await client.send("response.create")
        assert (await client.refused())[0] == "invalid_value"
        assert not any(event["type"].startswith("response.") for event in client.events)
        assert isinstance(assistant.pipeline.synthesizer, FakeSynthesizer)
        assert assistant.pipeline.synthesizer.spoken == []


async def test_text_in_and_text_out_with_the_openai_client(port: int) -> None:
    async with openai_client(port).realtime.connect(model="cafe") as connection:
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        for text, answer in (("a latte", "Latte, shall I order it?"), ("yes", "Your order number is 12.")):
            content = [{"type": "input_text", "text": text}]
            item = {"type": "message", "role": "user", "content": content}
            await connection.conversation.item.create(item=item)  # type: ignore[arg-type]
            await connection.response.create()
            async for event in connection:
                assert event.type != "error"
                if event.type == "response.output_text.done":
                    assert event.text == answer
                if event.type == "response.done":
                    break


async def test_asked_to_speak_first_the_assistant_greets(port: int, assistant: FakeAssistant) -> None:
    async with connected(port) as client:
        await client.send("response.create")
        done = await client.until("response.done")
        greeting = done["response"]["output"][0]["content"][0]["transcript"]
        assert greeting in assistant.domain.replies.greeting
        await client.send("response.create")
        assert (await client.refused())[0] == "no_user_message"


async def test_a_cancelled_response_stops() -> None:
    slow = an_assistant(synthesizer=FakeSynthesizer(delay_s=0.3))
    async with serving(slow) as port, connected(port) as client:
        await say(client, HELLO, silence(1.5))
        await client.until("response.created")
        await client.send("response.cancel")
        done = await client.until("response.done")
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        await client.send("response.cancel", event_id="e2")
        assert await client.refused() == ("response_cancel_not_active", "e2")
    slow.close()


async def test_what_cannot_be_followed_is_refused_and_the_connection_lives(port: int) -> None:
    async with connected(port) as client:
        await client.socket.send("garbage")
        await client.socket.send(b"\x00\xff")
        await client.socket.send('"' + "x" * 1_000_001)
        await client.send("response.fly")
        await client.send("input_audio_buffer.append", audio="***")
        wrong = {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}
        await client.send("session.update", event_id="e3", session={"type": "realtime", **wrong})
        codes = [(await client.refused())[0] for _ in range(6)]
        assert codes == [
            *("invalid_json", "invalid_json", "message_too_large", "unknown_event", "invalid_value", "invalid_value")
        ]
        await say(client, HELLO, silence(1.5))
        await client.until("response.done")


async def test_the_browsers_subprotocol_is_echoed_without_its_key(port: int) -> None:
    offered = ["realtime", "openai-insecure-api-key.sk-1"]
    async with connected(port, subprotocols=offered) as client:
        assert client.socket.subprotocol == "realtime"


async def test_a_client_who_vanishes_leaves_no_session_behind(port: int, assistant: FakeAssistant) -> None:
    async with connected(port) as client:
        await say(client, HELLO)
        await client.until("input_audio_buffer.speech_started")
        client.socket.transport.abort()
    await asyncio.wait_for(assistant.sessions[0].close(), 5)


async def test_a_client_who_does_not_read_is_not_read_from_and_no_trouble_to_another(port: int) -> None:
    # Compressed, hundreds of thousands of these messages fit into the system's buffers before the client has to wait.
    async with (
        connected(port, max_queue=1, ping_interval=None, compression=None) as deaf,
        connected(port) as client,
    ):

        async def flood() -> None:
            while True:
                await deaf.socket.send("garbage" * 100)

        flooding = asyncio.create_task(flood())
        await say(client, HELLO, silence(1.5))
        await client.until("response.done")
        while not deaf.socket.transport.get_write_buffer_size():
            await asyncio.sleep(0.01)
        await asyncio.wait({flooding}, timeout=0.5)
        assert deaf.socket.transport.get_write_buffer_size()
        flooding.cancel()
        deaf.socket.transport.abort()
