"""A real order, spoken to the real models by OpenAI's own client."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from benchmarks.corpus import CAFE, cafe
from rejoinder import Assistant
from rejoinder.assistant import AssistantOptions
from rejoinder.audio import SAMPLE_RATE
from rejoinder.serve.realtime.audio import PIECE_S, Encoding, OutputStream
from tests.serve.realtime.serving import openai_client, serving
from tests.serve.realtime.wire import MODELS

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def assistant() -> Iterator[Assistant]:
    loaded = Assistant.load(CAFE, options=AssistantOptions(cache=False))
    yield loaded
    loaded.close()


@pytest.mark.parametrize("turn_detection", [{"type": "semantic_vad"}, None])
async def test_a_real_order_is_heard_and_answered(assistant: Assistant, turn_detection: dict[str, Any] | None) -> None:
    order = min(cafe(), key=lambda recording: len(recording.samples))
    expected = assistant.hear(order.samples)
    audio = np.concatenate([np.zeros(8000, np.float32), order.samples, np.zeros(SAMPLE_RATE, np.float32)])
    session: dict[str, Any] = {"type": "realtime", "audio": {"input": {"turn_detection": turn_detection}}}
    async with serving(assistant) as port, openai_client(port).realtime.connect(model="cafe") as connection:
        await connection.session.update(session=session)  # type: ignore[arg-type]

        async def speak() -> None:
            for piece in OutputStream(Encoding.PCM, SAMPLE_RATE).pieces(audio):
                await connection.input_audio_buffer.append(audio=base64.b64encode(piece).decode())
                await asyncio.sleep(PIECE_S if turn_detection else 0)
            if turn_detection is None:
                await connection.input_audio_buffer.commit()
                await connection.response.create()

        speaking = asyncio.create_task(speak())
        transcript, said, n_bytes = "", "", 0
        async for event in connection:
            assert isinstance(event, MODELS[event.type])
            assert event.type != "error"
            if event.type == "conversation.item.input_audio_transcription.completed":
                transcript = event.transcript
            if event.type == "response.output_audio.delta":
                n_bytes += len(base64.b64decode(event.delta))
            if event.type == "response.output_audio_transcript.done":
                said = event.transcript
            if event.type == "response.done":
                assert event.response.status == "completed"
                break
        await speaking
    assert set(transcript.split()) & set(expected.transcript.split())
    assert said == expected.text
    assert n_bytes / 48_000 == pytest.approx(len(expected.audio) / expected.sample_rate, rel=0.1)
