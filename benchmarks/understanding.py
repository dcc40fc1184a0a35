"""What is understood of real customers, with and without the domain, and how long understanding takes."""

import time
from collections.abc import Sequence

from benchmarks.latency import percentiles
from rejoinder import Assistant
from rejoinder.dialogue import DialogueState
from rejoinder.evaluate.sets import Recording


def understood(assistant: Assistant, recordings: Sequence[Recording]) -> float:
    """Share of the orders whose intent and every slot are right, no slot missing and none too many."""
    from rich.progress import track

    right = 0
    for recording in track(recordings, "orders understood"):
        meant = assistant.hear(recording.samples).understanding
        right += meant.intent == recording.intent and dict(meant.slots) == recording.slots
    return round(right / len(recordings), 4)


def timing(assistant: Assistant, texts: Sequence[str]) -> dict[str, float]:
    """Milliseconds from words to meaning, one sentence at a time."""
    took_ms = []
    for text in (texts[0], *texts):
        started = time.perf_counter()
        assistant.pipeline.understand(text, DialogueState())
        took_ms.append(1000 * (time.perf_counter() - started))
    return percentiles(took_ms[1:])
