"""Recordings to text for `/v1/audio/transcriptions`: span by span, and written in each of its formats."""

import asyncio
import math
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rejoinder.assistant import Assistant, speech_spans
from rejoinder.audio import SAMPLE_RATE
from rejoinder.events import Samples
from rejoinder.serve.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Segment:
    """What was said in one stretch of speech, from and to seconds of the recording."""

    start_s: float
    end_s: float
    text: str
    confidence: float


async def segments(
    assistant: Assistant, samples: Samples, *, timeout_s: float, metrics: Metrics
) -> AsyncIterator[Segment]:
    """Recognize a recording stretch by stretch; between two of them, live callers have their turn on the threads.

    `samples` is float32 of shape (n_samples,) at `audio.SAMPLE_RATE`. Raises `TimeoutError` when a stretch takes longer
    than `timeout_s`.
    """
    run = assistant.workers.run
    clock = asyncio.get_running_loop().time
    for start, end in await run(partial(speech_spans, samples), timeout_s=timeout_s):
        began = clock()
        heard = await run(partial(assistant.pipeline.recognize, samples[start:end]), timeout_s=timeout_s)
        metrics.stage("recognize", clock() - began)
        if heard.text.strip():
            end_s = min(end, len(samples)) / SAMPLE_RATE
            yield Segment(start / SAMPLE_RATE, end_s, heard.text.strip(), heard.confidence)


def joined(heard: Sequence[Segment]) -> str:
    """The whole text."""
    return " ".join(segment.text for segment in heard)


def as_srt(heard: Sequence[Segment]) -> str:
    """SubRip subtitles."""
    blocks = [
        f"{n}\n{_clock(segment.start_s, ',')} --> {_clock(segment.end_s, ',')}\n{segment.text}\n"
        for n, segment in enumerate(heard, 1)
    ]
    return "\n".join(blocks)


def as_vtt(heard: Sequence[Segment]) -> str:
    """WebVTT subtitles."""
    blocks = [f"{_clock(segment.start_s, '.')} --> {_clock(segment.end_s, '.')}\n{segment.text}\n" for segment in heard]
    return "\n".join(["WEBVTT\n", *blocks])


def as_verbose(heard: Sequence[Segment], *, language: str, duration_s: float) -> dict[str, Any]:
    """The text with its segments, each with all ten fields that Whisper's have.

    `avg_logprob` is the logarithm of the confidence; `tokens` stays empty, for they are not Whisper's.
    """
    return {
        "task": "transcribe",
        "language": language,
        "duration": round(duration_s, 3),
        "text": joined(heard),
        "segments": [
            {
                "id": n,
                "seek": round(100 * segment.start_s),
                "start": round(segment.start_s, 3),
                "end": round(segment.end_s, 3),
                "text": segment.text,
                "tokens": [],
                "temperature": 0.0,
                "avg_logprob": round(math.log(max(segment.confidence, 1e-6)), 4),
                "compression_ratio": round(_compression(segment.text), 3),
                "no_speech_prob": 0.0,
            }
            for n, segment in enumerate(heard)
        ],
        "usage": usage(duration_s),
    }


def usage(duration_s: float) -> dict[str, Any]:
    """What a transcription is charged by elsewhere."""
    return {"type": "duration", "seconds": math.ceil(duration_s)}


def _clock(at_s: float, mark: str) -> str:
    ms = round(1000 * at_s)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{mark}{ms % 1000:03}"


def _compression(text: str) -> float:
    """How repetitive it is, as Whisper measures it."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded))
