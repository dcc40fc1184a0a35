"""Tests of the Wyoming server over TCP, with the client that Home Assistant uses."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import numpy as np
import pytest
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.handle import Handled, NotHandled
from wyoming.info import Describe, Info
from wyoming.intent import Intent, NotRecognized, Recognize
from wyoming.ping import Ping
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop

from rejoinder.audio import SAMPLE_RATE, resample, to_int16
from rejoinder.events import Samples
from rejoinder.serve.calls import Calls
from rejoinder.serve.settings import Settings
from rejoinder.serve.wyoming.door import serve_wyoming
from tests.fakes import FakeActions, FakeRecognizer, FakeSynthesizer, fake_pipeline, silence, speak
from tests.serve.realtime.serving import FakeAssistant, SureRecognizer


@pytest.fixture
def actions() -> FakeActions:
    return FakeActions()


@pytest.fixture
def recognizer() -> FakeRecognizer:
    return FakeRecognizer()


@pytest.fixture
def calls(actions: FakeActions, recognizer: FakeRecognizer) -> Iterator[Calls]:
    assistant = FakeAssistant(fake_pipeline(actions=actions, recognizer=recognizer))
    yield Calls(assistant, Settings(max_sessions=2, body_timeout_s=5))
    assistant.close()


@asynccontextmanager
async def connected(calls: Calls) -> AsyncIterator[AsyncTcpClient]:
    async with serve_wyoming(calls, "127.0.0.1", 0) as port, AsyncTcpClient("127.0.0.1", port) as client:
        yield client


async def until(client: AsyncTcpClient, kind: str) -> list[Event]:
    """All events up to one of this kind; fails where the connection ends before."""
    events: list[Event] = []
    while not events or events[-1].type != kind:
        event = await client.read_event()
        assert event is not None, [event.type for event in events]
        events.append(event)
    return events


async def say(client: AsyncTcpClient, samples: Samples, *, rate: int = SAMPLE_RATE, n_channels: int = 1) -> None:
    """Send 16-bit audio, a little at a time."""
    audio = {"rate": rate, "width": 2, "channels": n_channels}
    pcm = np.repeat(to_int16(resample(samples, SAMPLE_RATE, rate)), n_channels).astype("<i2").tobytes()
    await client.write_event(AudioStart(**audio).event())
    for at in range(0, len(pcm), 3000):
        await client.write_event(AudioChunk(**audio, audio=pcm[at : at + 3000]).event())
    await client.write_event(AudioStop().event())


async def test_what_it_can_do_is_told(calls: Calls) -> None:
    async with connected(calls) as client:
        await client.write_event(Describe().event())
        [event] = await until(client, "info")
        info = Info.from_event(event)
        assert info.asr[0].supports_transcript_streaming
        assert info.tts[0].supports_synthesize_streaming
        assert info.asr[0].models[0].languages == info.tts[0].voices[0].languages == ["en"]
        assert info.handle[0].models[0].name == info.intent[0].models[0].name == "cafe"
        await client.write_event(Ping("there?").event())
        [pong] = await until(client, "pong")
        assert pong.data == {"text": "there?"}


async def test_words_are_streamed_and_told_whole_in_the_end(calls: Calls) -> None:
    async with connected(calls) as client:
        await client.write_event(Transcribe(language="en-US").event())
        said = [silence(0.3), speak("a large latte"), silence(2.0), speak("when are you open")]
        await say(client, np.concatenate(said))
        events = await until(client, "transcript-stop")
    assert events[0].type == "transcript-start"
    assert events[-2].data["text"] == "a large latte when are you open"
    chunks = [event.data["text"] for event in events if event.type == "transcript-chunk"]
    assert len(chunks) > 1
    assert "".join(chunks) == "a large latte when are you open"
    assert calls.admission.n_inside == 0


@pytest.mark.parametrize("recognizer", [SureRecognizer(words="when are you open")])
@pytest.mark.parametrize(("rate", "n_channels"), [(8_000, 1), (48_000, 2)])
async def test_any_format_is_heard(calls: Calls, rate: int, n_channels: int) -> None:
    async with connected(calls) as client:
        await say(client, np.concatenate([silence(0.3), speak("a large latte")]), rate=rate, n_channels=n_channels)
        events = await until(client, "transcript")
    assert events[-1].data["text"] == "when are you open"


async def test_the_clients_names_and_terms_are_expected(calls: Calls, recognizer: FakeRecognizer) -> None:
    async with connected(calls) as client:
        await client.write_event(Transcribe(transcript_names=["Zoe"], transcript_terms=["flat white"]).event())
        await say(client, speak("a latte"))
        await until(client, "transcript")
    assert recognizer.biases
    for bias in recognizer.biases:
        assert {phrase.text for phrase in getattr(bias, "phrases", ())} >= {"Zoe", "flat white"}


async def test_silence_gives_an_empty_transcript(calls: Calls) -> None:
    async with connected(calls) as client:
        await say(client, silence(1.0))
        events = await until(client, "transcript")
    assert events[-1].data["text"] == ""


async def test_failed_recognition_is_an_error(calls: Calls, recognizer: FakeRecognizer) -> None:
    recognizer.fail = lambda _: True
    async with connected(calls) as client:
        await say(client, speak("a large latte with everything"))
        error = (await until(client, "error"))[-1]
        assert error.data["code"] == "recognition_failed"
        assert "the words that were said" not in error.data["text"]
        assert await client.read_event() is None


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (AudioStart(1, 2, 1).event(), "invalid_audio"),
        (AudioStart(16_000, 7, 1).event(), "invalid_audio"),
        (AudioStart(16_000, 2, 99).event(), "invalid_audio"),
        (Event("audio-start", {"rate": "16000", "width": 2, "channels": 1}), "invalid_request"),
        (Transcribe(language="ja").event(), "invalid_request"),
        (Event("transcribe", {"transcript_names": [1]}), "invalid_request"),
        (Event("synthesize", {"text": 5}), "invalid_request"),
        (Synthesize("x" * 5000).event(), "invalid_request"),
        (Synthesize("<speak/>", text_format="ssml").event(), "invalid_request"),
        (Event("x", payload=bytes(2_000_000)), "invalid_event"),
    ],
)
async def test_what_makes_no_sense_is_refused(calls: Calls, event: Event, code: str) -> None:
    async with connected(calls) as client:
        await client.write_event(event)
        [error] = await until(client, "error")
        assert error.data["code"] == code
        assert await client.read_event() is None


async def test_another_format_in_the_middle_is_refused(calls: Calls) -> None:
    async with connected(calls) as client:
        await client.write_event(AudioStart(16_000, 2, 1).event())
        await client.write_event(AudioChunk(8_000, 2, 1, bytes(320)).event())
        assert (await until(client, "error"))[-1].data["code"] == "invalid_request"


async def test_too_much_audio_is_refused(calls: Calls) -> None:
    short = Calls(calls.assistant, Settings(max_audio_s=1))
    async with connected(short) as client:
        await say(client, silence(2))
        assert (await until(client, "error"))[-1].data["code"] == "invalid_audio"


async def test_text_is_spoken(calls: Calls) -> None:
    async with connected(calls) as client:
        await client.write_event(Synthesize("two words, and more").event())
        start, *chunks, _ = await until(client, "audio-stop")
    assert start.data == {"rate": 24_000, "width": 2, "channels": 1}
    assert sum(len(chunk.payload or b"") for chunk in chunks) == 2 * 4 * 24_000 * 3 // 10


async def test_text_that_comes_in_pieces_is_spoken_as_it_comes(calls: Calls) -> None:
    synthesizer = calls.assistant.pipeline.synthesizer
    assert isinstance(synthesizer, FakeSynthesizer)
    async with connected(calls) as client:
        await client.write_event(SynthesizeStart().event())
        await client.write_event(SynthesizeChunk("One sentence here. And").event())
        await until(client, "audio-chunk")  # before the rest of the text is there
        await client.write_event(SynthesizeChunk(" another.").event())
        await client.write_event(Synthesize("One sentence here. And another.").event())  # for others, to be ignored
        await client.write_event(SynthesizeStop().event())
        await until(client, "audio-stop")
        assert [event.type for event in await until(client, "synthesize-stopped")] == ["synthesize-stopped"]
    assert synthesizer.spoken == ["One sentence here.", "And another."]


async def test_what_is_meant_is_told(calls: Calls, actions: FakeActions) -> None:
    async with connected(calls) as client:
        await client.write_event(Recognize("a large latte", context={"a": 1}).event())
        [event] = await until(client, "intent")
        intent = Intent.from_event(event)
        assert intent.name == "order"
        assert {entity.name: entity.value for entity in intent.entities} == {"drink": "latte", "size": "large"}
        assert intent.context == {"a": 1}
        await client.write_event(Recognize("who knows").event())
        [event] = await until(client, "not-recognized")
        assert NotRecognized.from_event(event).text == "I can't help with that."
    assert not actions.ran


async def test_a_conversation_goes_on_over_connections(calls: Calls, actions: FakeActions) -> None:
    async with serve_wyoming(calls, "127.0.0.1", 0) as port:

        async def ask(text: str, name: str) -> Event:
            async with AsyncTcpClient("127.0.0.1", port) as client:
                await client.write_event(Transcript(text, context={"conversation_id": name}).event())
                event = await client.read_event()
                assert event is not None
                return event

        assert Handled.from_event(await ask("a latte", "one")).text == "Latte, shall I order it?"
        assert (await ask("yes", "another")).type in {"handled", "not-handled"}
        assert not actions.ran
        assert Handled.from_event(await ask("yes", "one")).text == "Your order number is 12."
        assert actions.ran == [("place_order", {"drink": "latte"})]
        assert NotHandled.from_event(await ask("who knows", "one")).text == "I can't help with that."
        assert (await ask("  ", "one")).type == "not-handled"


async def test_strangers_are_sent_away(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "trusts", lambda _: False)
    async with connected(calls) as client:
        [error] = await until(client, "error")
        assert error.data["code"] == "not_trusted"
        assert await client.read_event() is None


async def test_one_call_too_many_is_refused_and_the_others_go_on(calls: Calls) -> None:
    async with connected(calls) as client:
        with calls.answer("test"), calls.answer("test"):
            await client.write_event(Synthesize("hello").event())
            [error] = await until(client, "error")
            assert error.data["code"] == "overloaded"


async def test_a_client_that_stalls_is_sent_away(calls: Calls) -> None:
    impatient = Calls(calls.assistant, Settings(body_timeout_s=0.05))
    async with connected(impatient) as client:
        await client.write_event(AudioStart(16_000, 2, 1).event())
        assert (await until(client, "error"))[-1].data["code"] == "timeout"
    assert impatient.admission.n_inside == 0


async def test_a_client_that_vanishes_frees_everything(calls: Calls) -> None:
    async with serve_wyoming(calls, "127.0.0.1", 0) as port:
        async with AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(AudioStart(16_000, 2, 1).event())
            await client.write_event(AudioChunk(16_000, 2, 1, bytes(3200)).event())
            await until(client, "transcript-start")
            assert calls.admission.n_inside == 1
        async with AsyncTcpClient("127.0.0.1", port) as client:
            for _ in range(100):
                await client.write_event(Ping().event())
                await until(client, "pong")
                if not calls.admission.n_inside:
                    break
                await asyncio.sleep(0.01)
    assert calls.admission.n_inside == 0


async def test_a_client_that_does_not_read_frees_everything(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rejoinder.serve.wyoming.door.LINGER_S", 0.2)
    impatient = Calls(calls.assistant, Settings(body_timeout_s=0.2))
    async with connected(impatient) as client:
        await client.write_event(Synthesize("word " * 800).event())
        async with asyncio.timeout(10):
            while not impatient.admission.n_inside:
                await asyncio.sleep(0.01)
            while impatient.admission.n_inside:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)  # the client may read again, but it is too late
        kinds: list[str] = []
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while (event := await client.read_event()) is not None:
                kinds.append(event.type)
        assert "audio-stop" not in kinds


async def test_the_server_ends_while_clients_are_connected(calls: Calls) -> None:
    async with serve_wyoming(calls, "127.0.0.1", 0) as port:
        client = AsyncTcpClient("127.0.0.1", port)
        await client.connect()
        await client.write_event(AudioStart(16_000, 2, 1).event())
        await until(client, "transcript-start")
    assert await client.read_event() is None
    await client.disconnect()
    assert calls.admission.n_inside == 0
