"""How long callers wait: recordings at the pace of speech, any number of callers at once, measured on the waveform.

All callers share one process and one event loop, as in a server: the wait is from the last sample of a caller's speech
to the first sample of the reply, with whatever the others cost in between.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from rejoinder.assistant import Assistant
from rejoinder.audio import frames
from rejoinder.evaluate.records import EARLY_S, Wait
from rejoinder.evaluate.turntaking import Call
from rejoinder.events import ReplyAudio, TurnEnded
from rejoinder.progress import Progress, silent
from rejoinder.session import SessionOptions

FRAME_S = 0.02
"""Audio that comes at a time: a packet of internet telephony."""

BOUND_S = 0.8
"""A wait that is still felt to be an answer; people leave 0.2 s, and ask whether one is there after 2 s."""

MOST_CALLERS = 256

_FRAME_SAMPLES = 320  # FRAME_S at SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Level:
    """What was measured at one number of callers."""

    n_callers: int
    waits: tuple[Wait, ...]

    @property
    def n_lost(self) -> int:
        """Turns that were never answered."""
        return sum(not wait.answered for wait in self.waits)

    @property
    def cut_off(self) -> float:
        """Share of the turns that were taken to be over too soon."""
        return sum(wait.cut_off for wait in self.waits) / max(1, len(self.waits))

    @property
    def draft_hits(self) -> float:
        """Share of the turns whose reply was there when they ended."""
        return sum(wait.draft_hit for wait in self.waits) / max(1, len(self.waits))

    @property
    def loop_lag_s(self) -> float:
        """Longest time that the event loop was late with a caller's audio."""
        return max((wait.loop_lag_s for wait in self.waits), default=0.0)

    def wait_s(self, percent: float) -> float:
        """The wait that so many percent of the turns do not exceed; a lost turn waits for ever.

        Turns that were cut off are left out: how long they waited says nothing.
        """
        waits = sorted(wait.total_s if wait.answered else math.inf for wait in self.waits if not wait.cut_off)
        return waits[max(0, math.ceil(percent / 100 * len(waits)) - 1)] if waits else math.inf

    def first_audio_s(self, percent: float) -> float:
        """The same, from the decision that the turn is over."""
        waits = [wait.first_audio_s for wait in self.waits if wait.answered and not wait.cut_off]
        return float(np.percentile(waits, percent)) if waits else math.inf

    def holds(self, bound_s: float) -> bool:
        """Whether 95% of the turns were answered within the bound."""
        return self.wait_s(95) <= bound_s


def measure(
    assistant: Assistant,
    calls: Sequence[tuple[str, Call]],
    n_callers: int,
    *,
    system: str,
    seconds: float,
    options: SessionOptions | None = None,
    progress: Progress = silent,
) -> Level:
    """Have so many callers speak for so many seconds, one turn after another, each at least one.

    `calls` are recordings with their names (`turntaking.Call.without_lead` saves time). Every turn is a session of its
    own, so that what was said before does not matter.
    """
    assistant.hear(calls[0][1].recorded)  # the first of all turns is slower
    return asyncio.run(_measure(assistant, calls, n_callers, system, seconds, options or SessionOptions(), progress))


async def _measure(
    assistant: Assistant,
    calls: Sequence[tuple[str, Call]],
    n_callers: int,
    system: str,
    seconds: float,
    options: SessionOptions,
    progress: Progress,
) -> Level:
    waits: list[Wait] = []
    label = f"{n_callers} caller{'s' * (n_callers > 1)} at once"
    mean_s = sum(call.end_s for _, call in calls) / len(calls)
    started, n_seconds = time.perf_counter(), math.ceil(seconds)

    async def caller(k: int) -> None:
        await asyncio.sleep(k / n_callers * mean_s)  # nobody waits for the others to begin
        for n in count():
            name, call = calls[(k * len(calls) // n_callers + n) % len(calls)]
            waits.append(await answer(assistant, call, name, system=system, n_callers=n_callers, options=options))
            spent_s = time.perf_counter() - started
            progress(label, min(int(spent_s), n_seconds - 1), n_seconds, f"{len(waits)} turns")
            if spent_s >= seconds:
                return

    async with asyncio.TaskGroup() as group:
        for k in range(n_callers):
            group.create_task(caller(k))
    progress(label, n_seconds, n_seconds, f"{len(waits)} turns")
    return Level(n_callers, tuple(waits))


async def answer(
    assistant: Assistant,
    call: Call,
    utterance: str,
    *,
    system: str = "",
    n_callers: int = 1,
    options: SessionOptions | None = None,
) -> Wait:
    """Stream one call at the pace of speech, until the reply to its last word begins or its caller gives up."""
    ended: list[TurnEnded] = []
    first: list[tuple[float, float]] = []  # when the reply began, and how long after the decision
    lag_s = 0.0
    async with assistant.session(options=options) as session:

        async def collect() -> None:
            async for event in session.events():
                if isinstance(event, TurnEnded):
                    ended.append(event)
                elif isinstance(event, ReplyAudio):
                    at_s = time.perf_counter() - started
                    if at_s > call.end_s and not first:
                        first.append((at_s, event.decision_s or 0.0))

        started = time.perf_counter()
        collecting = asyncio.create_task(collect())
        for i, frame in enumerate(frames(call.samples, _FRAME_SAMPLES), start=1):
            due = started + i * FRAME_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            lag_s = max(lag_s, time.perf_counter() - due)
            await session.feed(frame)
            if first:
                break
        collecting.cancel()
    at_s, decision_s = first[0] if first else (call.end_s, 0.0)
    last = ended[-1] if ended else None
    return Wait(
        system,
        n_callers,
        utterance,
        endpointing_s=round(at_s - call.end_s - decision_s, 4),
        first_audio_s=round(decision_s, 4),
        took_s={stage: round(seconds, 4) for stage, seconds in last.timings_s.items()} if last and first else {},
        draft_hit=last is not None and last.draft_hit,
        cut_off=bool(ended) and ended[0].speech_end_s < call.end_s - EARLY_S,
        answered=bool(first) and bool(ended),
        loop_lag_s=round(lag_s, 4),
    )


def largest(at: Callable[[int], Level], *, bound_s: float = BOUND_S, most: int = MOST_CALLERS) -> tuple[Level, ...]:
    """Find the largest number of callers within the bound, to about a tenth of it: every level that was measured.

    Twice as many each time until it does not hold, then half-way between.
    """
    levels = {1: at(1)}
    low, high = 0, 1
    while levels[high].holds(bound_s) and high < most:
        low, high = high, min(2 * high, most)
        levels[high] = at(high)
    if levels[high].holds(bound_s):
        low = high
    while high - low > max(1, low // 10):
        middle = (low + high) // 2
        levels[middle] = at(middle)
        low, high = (middle, high) if levels[middle].holds(bound_s) else (low, middle)
    return tuple(levels[n] for n in sorted(levels))


def most_within(levels: Sequence[Level], bound_s: float) -> int | None:
    """The largest number of callers within the bound, of those measured below the first that is not; None for none."""
    most = None
    for level in sorted(levels, key=lambda level: level.n_callers):
        if not level.holds(bound_s):
            break
        most = level.n_callers
    return most
