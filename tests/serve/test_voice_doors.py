"""The doors for voice programs with the real models: what one speaks, it hears again, in another format."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import riva.client

from rejoinder.assistant import Assistant
from rejoinder.audio import from_int16, resample, to_mulaw
from rejoinder.serve.calls import Calls
from rejoinder.serve.riva.door import serve_riva
from rejoinder.serve.settings import Settings
from rejoinder.serve.wyoming.door import serve_wyoming
from rejoinder.serve.wyoming.wire import EventReader, WireEvent
from rejoinder.text import normalize

pytestmark = pytest.mark.model

SAID = "A large latte with oat milk, please."


@pytest.fixture(scope="module")
def calls() -> Iterator[Calls]:
    assistant = Assistant.load(Path(__file__).parents[2] / "examples" / "cafe")
    yield Calls(assistant, Settings())
    assistant.close()


async def test_wyoming_hears_what_it_says(calls: Calls) -> None:
    async with serve_wyoming(calls, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        parser = EventReader()

        async def until(kind: str) -> list[WireEvent]:
            events: list[WireEvent] = []
            while not events or events[-1].type != kind:
                events += parser.feed(await reader.read(65_536))
            return events

        writer.write(WireEvent("synthesize", {"text": SAID}).encode())
        start, *chunks, _ = await until("audio-stop")
        samples = from_int16(np.frombuffer(b"".join(chunk.payload for chunk in chunks), np.int16))
        audio = {"rate": 44_100, "width": 4, "channels": 2}
        wide = resample(samples, start.data["rate"], 44_100).clip(-1, 1) * 0.99 * (1 << 31)
        pcm = np.repeat(wide, 2).astype("<i4").tobytes()
        writer.write(WireEvent("audio-start", audio).encode())
        for at in range(0, len(pcm), 10_001):
            writer.write(WireEvent("audio-chunk", audio, pcm[at : at + 10_001]).encode())
        writer.write(WireEvent("audio-stop").encode())
        events = await until("transcript-stop")
        writer.close()
    assert normalize(events[-2].data["text"]) == normalize(SAID)


async def test_riva_hears_what_it_says(calls: Calls) -> None:
    async with serve_riva(calls, "127.0.0.1", 0) as port:
        auth = riva.client.Auth(uri=f"127.0.0.1:{port}")

        def there_and_back() -> list[Any]:
            spoken = riva.client.SpeechSynthesisService(auth).synthesize(SAID, sample_rate_hz=16_000)
            samples = from_int16(np.frombuffer(spoken.audio, np.int16))
            encoded = to_mulaw(resample(samples, 16_000, 8_000)).tobytes()
            config = riva.client.RecognitionConfig(
                encoding=riva.client.AudioEncoding.MULAW, sample_rate_hertz=8_000, language_code="en-US"
            )
            riva.client.add_word_boosting_to_config(config, ["oat milk"], 20.0)
            streaming = riva.client.StreamingRecognitionConfig(config=config)
            pieces = (encoded[at : at + 800] for at in range(0, len(encoded), 800))
            responses = riva.client.ASRService(auth).streaming_response_generator(pieces, streaming)
            return [result for response in responses for result in response.results]

        [result] = await asyncio.to_thread(there_and_back)
        auth.channel.close()
    assert result.is_final
    assert normalize(result.alternatives[0].transcript) == normalize(SAID)
