"""How long a caller waits: recordings streamed through live sessions at real-time pace, measured on the waveform."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from rejoinder import Assistant
from rejoinder.audio import SAMPLE_RATE
from rejoinder.dialogue import DialogueState
from rejoinder.evaluate.loadtest import answer
from rejoinder.evaluate.records import EARLY_S, Wait
from rejoinder.evaluate.sets import Recording
from rejoinder.evaluate.turntaking import Call
from rejoinder.events import Samples
from rejoinder.session import SessionOptions
from rejoinder.turns import TurnOptions
from rejoinder.vad import CHUNK_S, probabilities

FIXED_SILENCE_S = 0.8
"""What the peer waits: the same models, called one after the other."""


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """The figures that are quoted, in milliseconds."""
    ordered = list(values)
    if not ordered:
        return {"p50": float("nan"), "p95": float("nan"), "n": 0}
    p50, p95 = np.percentile(ordered, [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "n": len(ordered)}


async def _stream_all(
    assistant: Assistant, recordings: Sequence[Recording], options: SessionOptions, label: str
) -> list[Wait]:
    from rich.progress import track

    calls = [Call.of(recording.samples) for recording in recordings]
    await answer(assistant, calls[0], "", options=options)  # warm-up
    return [await answer(assistant, call, "", options=options) for call in track(calls, label)]


def live(assistant: Assistant, recordings: Sequence[Recording], options: SessionOptions, label: str) -> list[Wait]:
    """Stream recordings one after the other, each as a caller of its own."""
    return asyncio.run(_stream_all(assistant, recordings, options, label))


def one_after_the_other(assistant: Assistant, recordings: Sequence[Recording]) -> list[Wait]:
    """The peer: a fixed silence ends the turn, then the same models run one after the other, nothing ahead."""
    from rich.progress import track

    pipeline = replace(assistant.pipeline, bias=None, corrector=None)
    measured = []
    for recording in track(recordings, "fixed silence, one after the other"):
        call = Call.of(recording.samples)
        over_s, decided_s = _fixed_endpoint(call.samples)
        started = time.perf_counter()
        transcript = pipeline.recognize(call.samples[: round(decided_s * SAMPLE_RATE)])
        draft = pipeline.draft(transcript, DialogueState())
        np.concatenate(list(pipeline.synthesizer.synthesize(draft.reply.text)) or [call.samples[:0]])
        took_s = time.perf_counter() - started
        cut_off = over_s < call.end_s - EARLY_S
        measured.append(Wait("peer", 1, "", decided_s - call.end_s, took_s, {}, draft_hit=False, cut_off=cut_off))
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


def summary(measured: Sequence[Wait]) -> dict[str, object]:
    """The figures of one way of answering."""
    answered = [one for one in measured if one.answered]
    whole = [one for one in answered if not one.cut_off]
    return {
        "decision_to_first_sample_ms": percentiles(1000 * one.first_audio_s for one in whole),
        "speech_end_to_first_sample_ms": percentiles(1000 * one.total_s for one in whole),
        "early_cutoff_rate": round(sum(one.cut_off for one in answered) / max(1, len(answered)), 4),
        "unanswered": len(measured) - len(answered),
        "draft_hit_rate": round(sum(one.draft_hit for one in answered) / max(1, len(answered)), 4),
        "event_loop_lag_ms": round(1000 * max((one.loop_lag_s for one in answered), default=0.0), 1),
    }
