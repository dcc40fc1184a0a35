"""What one caller costs, measured for the capacity model: `python -m benchmarks.capacity_costs` writes the JSON.

Each piece of work that the server's threads do is timed by itself, in processor time: recognition of as much audio as
there is at a partial and at a pause, understanding, and each clause of the reply. The forty recordings of the cafe
are only load here: nothing is tuned on them. How much the event loop does for a caller is not measured here but comes
from the load test (`benchmarks/serve.py`).
"""

import json
import math
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks.corpus import CAFE, ROOT, cafe
from rejoinder import Assistant
from rejoinder.asr.recognizer import Transcript
from rejoinder.audio import SAMPLE_RATE
from rejoinder.dialogue import DialogueState
from rejoinder.evaluate.turntaking import Call
from rejoinder.events import Completion
from rejoinder.pipeline import Draft
from rejoinder.prosody import Prosody
from rejoinder.session import AFTER_LAST_WORD
from rejoinder.turns import PRE_ROLL_S, SpeechBegan, SpeechPaused, SpeechResumed, TurnOptions, TurnOver, TurnState, step
from rejoinder.vad import CHUNK_S, CHUNK_SAMPLES, probabilities

RESULTS = Path(__file__).parent / "capacity_costs.json"

PARTIAL_S = 0.3
"""Audio between two partials that are timed: the interval of a session that waits a little for a thread."""

N_AT_ONCE, N_ROUNDS = 6, 9
"""Recordings that two threads or processes recognize side by side, and how often."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of a reply."""

    cpu_s: float
    """To make it."""
    audio_s: float


@dataclass(frozen=True, slots=True)
class Script:
    """One turn of a caller, and the reply to it: when things happen, counted from where the speech begins."""

    pauses_s: tuple[float, ...]
    """When each pause in the speech is noticed; the last one is that after the last word."""
    resumed_s: tuple[float, ...]
    """When the speech goes on after each of them but the last."""
    speech_s: float
    """When the last word ends."""
    over_s: float
    """When it is decided that the turn is over, if the words are known by then."""
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Costs:
    """Processor time of each kind of work, and the turns that make it."""

    machine: str
    date: str
    partial_s: tuple[float, float]
    """Of a recognition in mid-speech: a constant, and that for each second of audio so far."""
    pause_s: tuple[float, float]
    """The same at a pause, where an earlier partial's words help."""
    understand_s: float
    drafted: float
    """Share of the partials whose words could be whole, so that their reply is spoken ahead."""
    kept: float
    """Share of these drafts whose reply is that to the whole turn: nothing is left to synthesize at the pause."""
    serial: float
    """Share of the work that holds Python's lock, which one thread at a time can have."""
    scripts: tuple[Script, ...]

    @classmethod
    def load(cls, path: Path = RESULTS) -> "Costs":
        """Read what was measured."""
        found: dict[str, Any] = json.loads(path.read_text())
        scripts = tuple(
            Script(
                tuple(one["pauses_s"]),
                tuple(one["resumed_s"]),
                one["speech_s"],
                one["over_s"],
                tuple(Clause(**clause) for clause in one["clauses"]),
            )
            for one in found.pop("scripts")
        )
        for name in ("partial_s", "pause_s"):
            found[name] = tuple(found[name])
        return cls(**found, scripts=scripts)

    def write(self, path: Path = RESULTS) -> None:
        """Write it, rounded to what the measurement is worth."""
        path.write_text(json.dumps(_rounded(asdict(self)), indent=1) + "\n")


def measure() -> Costs:
    """Time every kind of work on every recording."""
    assistant = Assistant.load(CAFE)
    calls = [Call.of(one.samples).without_lead() for one in cafe()]
    for call in calls[:3]:
        assistant.pipeline.recognize(call.recorded)
    timed = _Timed()
    scripts = [_script(assistant, call, timed) for call in calls]
    drafted = [right for right in timed.partials_right if right is not None]
    return Costs(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        date.today().isoformat(),
        _line(timed.partials),
        _line(timed.pauses),
        float(np.mean(timed.understood_s)),
        len(drafted) / len(timed.partials_right),
        float(np.mean(drafted or [False])),
        _serial(assistant, calls),
        tuple(scripts),
    )


@dataclass(slots=True)
class _Timed:
    """What the pieces of work took, with the seconds of audio."""

    partials: list[tuple[float, float]] = field(default_factory=list)
    pauses: list[tuple[float, float]] = field(default_factory=list)
    understood_s: list[float] = field(default_factory=list)
    partials_right: list[bool | None] = field(default_factory=list)
    """Whether the reply to a partial's words is that to the turn; None where the words are not whole."""


def _script(assistant: Assistant, call: Call, timed: _Timed) -> Script:
    """One recording's turn."""
    pipeline = assistant.pipeline
    began = max(0.0, call.begin_s - PRE_ROLL_S)
    speech = call.samples[round(began * SAMPLE_RATE) : round((call.end_s + 2 * CHUNK_S) * SAMPLE_RATE)]
    words, replies = Transcript(""), list[str | None]()
    step = round(PARTIAL_S * SAMPLE_RATE)
    for so_far in (speech[:n] for n in range(step, len(speech) - step, step)):
        words, took_s = _timed(partial(pipeline.recognize, so_far, earlier=words))
        timed.partials.append((len(so_far) / SAMPLE_RATE, took_s))
        ahead = pipeline.draft(words, DialogueState())
        replies.append(ahead.reply.text if ahead.understanding.completion is Completion.COMPLETE else None)
    whole = np.concatenate([speech, AFTER_LAST_WORD])
    words, took_s = _timed(lambda: pipeline.recognize(whole, earlier=words))
    timed.pauses.append((len(speech) / SAMPLE_RATE, took_s))
    draft, took_s = _timed(lambda: pipeline.draft(words, DialogueState()))
    timed.understood_s.append(took_s)
    timed.partials_right += [None if reply is None else reply == draft.reply.text for reply in replies]
    noticed, resumed, over_s = _turn(call, draft.understanding.completion)
    return Script(
        tuple(at_s - call.begin_s for at_s in noticed),
        tuple(at_s - call.begin_s for at_s in resumed),
        call.end_s - call.begin_s,
        over_s - call.begin_s,
        _clauses(assistant, draft),
    )


def _turn(call: Call, completion: Completion) -> tuple[list[float], list[float], float]:
    """When its pauses are noticed, when it goes on after them and when it is over, as the endpointer has it.

    The words are taken to be known at each pause. A turn that it cuts off goes on all the same.
    """
    state, noticed, resumed, prosody = TurnState(), list[float](), list[float](), None
    heard = probabilities(call.samples)
    for n, probability in enumerate(heard):
        state, happened = step(
            state,
            float(probability),
            options=TurnOptions(),
            completion=completion if prosody else None,
            prosody=prosody,
            replying=False,
        )
        now_s = (n + 1) * CHUNK_S
        for event in happened:
            match event:
                case SpeechPaused():
                    noticed.append(now_s)
                    prosody = Prosody.of(call.samples[round(call.begin_s * SAMPLE_RATE) : (n + 1) * CHUNK_SAMPLES])
                case SpeechResumed() | SpeechBegan() if len(noticed) > len(resumed):
                    resumed.append(now_s)
                case TurnOver() if now_s >= call.end_s:
                    return noticed, resumed[: len(noticed) - 1], now_s
                case _:
                    pass
    raise ValueError("a recording whose turn does not end")


def _clauses(assistant: Assistant, draft: Draft) -> tuple[Clause, ...]:
    """The clauses of a reply, as the server has them: fixed replies come from its cache."""
    synthesizer, clauses = assistant.pipeline.synthesizer, list[Clause]()
    pieces = synthesizer.synthesize(draft.reply.text)
    while True:
        piece, took_s = _timed(lambda: next(pieces, None))
        if piece is None:
            return tuple(clauses)
        clauses.append(Clause(took_s, len(piece) / synthesizer.sample_rate))


def _serial(assistant: Assistant, calls: list[Call]) -> float:
    """What part of recognition is Python, which only one thread of a process can run at a time.

    Two threads of one process against two processes, turn about: if a thread that meets the other waits for it, two
    threads take 1 + s^2 times as long for a part of s.
    """
    recordings = [call.recorded for call in calls[:N_AT_ONCE]]

    def work() -> None:
        for recording in recordings:
            assistant.pipeline.recognize(recording)

    def with_other(begin: Callable[[], None], wait: Callable[[], object]) -> float:
        began = time.perf_counter()
        begin()
        work()
        wait()
        return time.perf_counter() - began

    threads, processes = [], []
    command = [sys.executable, "-m", "benchmarks.capacity_costs", "--other"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        for _ in range(N_ROUNDS):
            thread = threading.Thread(target=work)
            threads.append(with_other(thread.start, thread.join))
            processes.append(with_other(lambda: print(file=other.stdin, flush=True), other.stdout.readline))
        other.kill()
    return math.sqrt(max(0.0, float(np.median(threads) / np.median(processes)) - 1.0))


def _other() -> None:
    """Be the other process: recognize the same recordings for each line of input."""
    assistant = Assistant.load(CAFE)
    recordings = [Call.of(one.samples).without_lead().recorded for one in cafe()[:N_AT_ONCE]]
    print("ready", flush=True)
    for _ in sys.stdin:
        for recording in recordings:
            assistant.pipeline.recognize(recording)
        print("done", flush=True)


def _timed(call: Callable[[], Result]) -> tuple[Result, float]:
    began = time.thread_time()
    result = call()
    return result, time.thread_time() - began


def _line(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Constant and slope of the line through (seconds of audio, seconds of work), neither below zero."""
    audio_s, took_s = np.array(points).T
    slope, constant = np.polyfit(audio_s, took_s, 1)
    if constant < 0:
        return 0.0, float((audio_s * took_s).sum() / np.square(audio_s).sum())
    return float(constant), max(0.0, float(slope))


def _rounded(value: Any) -> Any:
    """To a tenth of a millisecond."""
    match value:
        case float():
            return round(value, 4)
        case Mapping():
            return {key: _rounded(one) for key, one in value.items()}
        case list() | tuple():
            return [_rounded(one) for one in value]
        case _:
            return value


if __name__ == "__main__":
    if "--other" in sys.argv:
        _other()
    else:
        measure().write()
        print(f"written to {RESULTS}")
