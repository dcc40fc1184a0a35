"""How long a caller waits: recordings streamed through live sessions at real-time pace, measured on the waveform."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.endpointing import speech_end
from rejoinder import Assistant
from rejoinder.audio import SAMPLE_RATE, frames
from rejoinder.dialogue import DialogueState
from rejoinder.evaluate.sets import Recording
from rejoinder.events import Event, ReplyAudio, Samples, TurnEnded
from rejoinder.session import SessionOptions
from rejoinder.turns import TurnOptions
from rejoinder.vad import CHUNK_S, probabilities

FRAME_S = 0.02
SILENCE_AFTER_S = 4.0
FIXED_SILENCE_S = 0.8
"""What the peer waits: the same models, called one after the other."""
EARLY_S = 0.1
"""A turn that was over this long before its last word was cut off."""


@dataclass(frozen=True)
class Measured:
    """One utterance."""

    cut_off: bool
    draft_hit: bool
    decision_ms: float
    """End-of-turn decision to first reply sample."""
    wait_ms: float
    """Last sample of speech to first reply sample."""
    loop_lag_ms: float
    """Longest time that the event loop was late."""


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """The figures that are quoted, in milliseconds."""
    ordered = list(values)
    if not ordered:
        return {"p50": float("nan"), "p95": float("nan"), "n": 0}
    p50, p95 = np.percentile(ordered, [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "n": len(ordered)}


def _with_silence(samples: Samples) -> Samples:
    """The recording, then the line's own noise floor: callers do not hang up after their last word."""
    level = np.percentile([np.sqrt(np.mean(frame**2)) for frame in frames(samples, 320)], 5)
    noise = np.random.default_rng(0).normal(0.0, level, round(SILENCE_AFTER_S * SAMPLE_RATE))
    return np.concatenate([samples, noise.astype(np.float32)])


async def stream(assistant: Assistant, recording: Recording, options: SessionOptions) -> Measured | None:
    """Stream one recording; None when it was never answered."""
    end_s = speech_end(recording.samples)
    events: list[tuple[float, Event]] = []
    answered = asyncio.Event()
    lag_s = 0.0
    async with assistant.session(options=options) as session:

        async def collect() -> None:
            async for event in session.events():
                events.append((time.perf_counter(), event))
                if isinstance(event, ReplyAudio) and time.perf_counter() > started + end_s:
                    answered.set()

        collecting = asyncio.create_task(collect())
        started = time.perf_counter()
        for i, frame in enumerate(frames(_with_silence(recording.samples), round(FRAME_S * SAMPLE_RATE))):
            due = started + (i + 1) * FRAME_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            lag_s = max(lag_s, time.perf_counter() - due)
            await session.feed(frame)
            if answered.is_set():
                break
        collecting.cancel()
    over = [event for _, event in events if isinstance(event, TurnEnded)]
    first = next((at for at, event in events if isinstance(event, ReplyAudio) and at > started + end_s), None)
    if first is None or not over:
        return None
    decision_s = next((event.decision_s for at, event in events if isinstance(event, ReplyAudio) and at == first), None)
    return Measured(
        cut_off=over[0].speech_end_s < end_s - EARLY_S,
        draft_hit=over[-1].draft_hit,
        decision_ms=1000 * (decision_s or 0.0),
        wait_ms=1000 * (first - started - end_s),
        loop_lag_ms=1000 * lag_s,
    )


async def _stream_all(
    assistant: Assistant, recordings: Sequence[Recording], options: SessionOptions, label: str
) -> list[Measured | None]:
    from rich.progress import track

    await stream(assistant, recordings[0], options)  # warm-up
    return [await stream(assistant, recording, options) for recording in track(recordings, label)]


def live(
    assistant: Assistant, recordings: Sequence[Recording], options: SessionOptions, label: str
) -> list[Measured | None]:
    """Stream recordings one after the other, each as a caller of its own."""
    return asyncio.run(_stream_all(assistant, recordings, options, label))


def one_after_the_other(assistant: Assistant, recordings: Sequence[Recording]) -> list[Measured]:
    """The peer: a fixed silence ends the turn, then the same models run one after the other, nothing ahead."""
    from rich.progress import track

    pipeline = replace(assistant.pipeline, bias=None, corrector=None)
    measured = []
    for recording in track(recordings, "fixed silence, one after the other"):
        end_s = speech_end(recording.samples)
        samples = _with_silence(recording.samples)
        over_s, decided_s = _fixed_endpoint(samples)
        started = time.perf_counter()
        transcript = pipeline.recognize(samples[: round(decided_s * SAMPLE_RATE)])
        draft = pipeline.draft(transcript, DialogueState())
        np.concatenate(list(pipeline.synthesizer.synthesize(draft.reply.text)) or [samples[:0]])
        took_s = time.perf_counter() - started
        wait_ms = 1000 * (decided_s - end_s + took_s)
        measured.append(Measured(over_s < end_s - EARLY_S, False, 1000 * took_s, wait_ms, 0.0))
    return measured


def _fixed_endpoint(samples: Samples) -> tuple[float, float]:
    """Where the speech before the first long silence ended, and when that silence was long enough."""
    spoken = probabilities(samples) >= TurnOptions().speech_threshold
    n_needed = round(FIXED_SILENCE_S / CHUNK_S)
    n_silent = 0
    begun = False
    for i, is_speech in enumerate(spoken):
        begun = begun or bool(is_speech)
        n_silent = 0 if is_speech else n_silent + 1
        if begun and n_silent >= n_needed:
            return (i + 1 - n_silent) * CHUNK_S, (i + 1) * CHUNK_S
    return len(spoken) * CHUNK_S, len(spoken) * CHUNK_S


def summary(measured: Sequence[Measured | None]) -> dict[str, object]:
    """The figures of one way of answering."""
    answered = [one for one in measured if one is not None]
    whole = [one for one in answered if not one.cut_off]
    return {
        "decision_to_first_sample_ms": percentiles(one.decision_ms for one in whole),
        "speech_end_to_first_sample_ms": percentiles(one.wait_ms for one in whole),
        "early_cutoff_rate": round(sum(one.cut_off for one in answered) / max(1, len(answered)), 4),
        "unanswered": len(measured) - len(answered),
        "draft_hit_rate": round(sum(one.draft_hit for one in answered) / max(1, len(answered)), 4),
        "event_loop_lag_ms": round(max((one.loop_lag_ms for one in answered), default=0.0), 1),
    }
