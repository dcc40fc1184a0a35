"""The server under load: `make bench-serve`, or `python -m benchmarks.serve --help`.

A server with the cafe's models in one process, callers with its forty real recordings in another, loopback between
them, and all of it on the same cores. The recordings are only load here: nothing was tuned on them.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus import ROOT

RESULTS = Path(__file__).parent / "serve.json"

N_CALLERS = 16
DECISION_S = 0.5
"""Goal for the 95th percentile of the time from the decision that a turn is over to the first sample of its reply."""

BOUND_S = 0.8
"""The same for as many callers as can be."""

HELD_UP_S = 0.02
"""Longest that anything may hold up the event loop."""

N_SESSIONS = 1000
MEMORY_MB = 50.0
"""Goal for how much more memory there is after so many sessions."""

LEVELS = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64)
"""Numbers of callers to try for the most."""

TALK_S, LEVEL_S, FAULTS_S, SOAK_SLICE_S = 60.0, 25.0, 20.0, 60.0
N_AMONG_FAULTS = 4
N_SOAK = 8


@dataclass(frozen=True, slots=True)
class Level:
    """What so many callers met with."""

    n_callers: int
    n_turns: int
    n_lost: int
    n_errors: int
    decision_ms: Mapping[str, float]
    """From the decision that the turn is over to the first sample of the reply, as the caller receives it."""
    wait_ms: Mapping[str, float]
    """From the last sample of speech, as the caller sends it."""
    draft_hits: float
    server_cores: float
    loop_cores: float
    """Of these, what its event loop takes."""
    callers_cores: float
    loop_late_ms: Mapping[str, float]
    """By how much its event loop came to things late: what it did meanwhile, and what others did on its cores."""

    def holds(self, bound_s: float) -> bool:
        """Whether no turn was lost and 95% were answered within the bound."""
        return bool(self.n_turns) and not self.n_lost and self.decision_ms["p95"] <= 1000 * bound_s


class Bench:
    """A server and a process of callers, both running."""

    def __init__(self, port: int, callers: "subprocess.Popen[str]") -> None:
        self._port = port
        self._callers = callers
        self._measured()

    def talk(self, n_callers: int, seconds: float, *, among_faults: bool = False) -> Level:
        """So many callers speak for so many seconds."""
        before, began = self._measured(), time.perf_counter()
        said = self._do("misbehave" if among_faults else "talk", n=n_callers, seconds=seconds)
        after, took_s = self._measured(), time.perf_counter() - began
        decisions, waits = _joined(said["turns"], after["turns"])
        return Level(
            n_callers,
            len(said["turns"]),
            sum(turn["answered_at"] is None for turn in said["turns"]),
            len(said["errors"]),
            _percentiles(decisions),
            _percentiles(waits),
            round(float(np.mean([turn["draft_hit"] for turn in after["turns"]] or [0.0])), 3),
            round((after["cpu_s"] - before["cpu_s"]) / took_s, 2),
            round((after["loop_cpu_s"] - before["loop_cpu_s"]) / took_s, 2),
            round(said["cpu_s"] / took_s, 2),
            _percentiles(after["late_s"]),
        )

    def memory(self, n_sessions: int) -> dict[str, float]:
        """Resident megabytes before and after so many sessions; some before that, for what grows only once."""
        self._do("open", n=n_sessions // 10)
        before = self.resident()
        done = self._do("open", n=n_sessions)
        after = self._settled()
        return {
            "n_sessions": n_sessions,
            "before_mb": round(before["resident_mb"], 1),
            "after_mb": round(after["resident_mb"], 1),
            "threads_more": after["n_threads"] - before["n_threads"],
            "tasks_more": after["n_tasks"] - before["n_tasks"],
            "sessions_a_second": round(n_sessions / done["seconds"], 1),
        }

    def resident(self) -> dict[str, Any]:
        """What the server has now, once closed sessions are gone."""
        return self._settled()

    def _settled(self) -> dict[str, Any]:
        time.sleep(1.0)
        return self._measured()

    def _do(self, what: str, **order: Any) -> dict[str, Any]:
        assert self._callers.stdin is not None
        self._callers.stdin.write(json.dumps({"do": what, "port": self._port, **order}) + "\n")
        self._callers.stdin.flush()
        done: dict[str, Any] = _line(self._callers)
        return done

    def _measured(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/measured", timeout=30) as response:
            measured: dict[str, Any] = json.load(response)
        return measured


@contextmanager
def running() -> Iterator[Bench]:
    """Both processes, until the block ends."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(module: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", module]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )

    with start("benchmarks.serving") as server, start("benchmarks.callers") as callers:
        try:
            port = _line(server)
            _line(callers)
            yield Bench(port, callers)
        finally:
            callers.kill()
            server.terminate()


def _line(process: "subprocess.Popen[str]") -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args!r} ended; see above")
    return json.loads(line)


def _joined(said: Sequence[dict[str, Any]], decided: Sequence[dict[str, Any]]) -> tuple[list[float], list[float]]:
    """Seconds from decision to answer, and from the last sample of speech to it, of each answered turn."""
    decisions, waits = [], []
    for turn in said:
        answered_at = turn["answered_at"]
        if answered_at is None:
            continue
        earlier = [one["decided_at"] for one in decided if one["caller"] == turn["caller"]]
        decisions.append(answered_at - max((at for at in earlier if at <= answered_at), default=answered_at))
        waits.append(answered_at - turn["spoke_at"])
    return decisions, waits


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """In milliseconds."""
    p50, p95, most = np.percentile(seconds, [50, 95, 100]) if seconds else [float("nan")] * 3
    return {
        "p50": round(1000 * float(p50), 1),
        "p95": round(1000 * float(p95), 1),
        "most": round(1000 * float(most), 1),
    }


def main() -> None:
    """Run, print one table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--soak", type=float, metavar="MINUTES", help=f"only this: {N_SOAK} callers for so long")
    parser.add_argument("--callers", type=int, metavar="N", help="only this: so many callers, once")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where to write the JSON (default: %(default)s)")
    arguments = parser.parse_args()
    with running() as bench:
        if arguments.soak is not None:
            soak(bench, arguments.soak)
        elif arguments.callers is not None:
            _say(bench.talk(arguments.callers, TALK_S))
        else:
            results = run(bench)
            arguments.out.write_text(json.dumps(results, indent=2) + "\n")
            show(results)
            print(f"written to {arguments.out}")


def run(bench: Bench) -> dict[str, Any]:
    """All figures."""
    lone = _say(bench.talk(1, LEVEL_S))
    goal = _say(bench.talk(N_CALLERS, TALK_S))
    levels = _most(goal, lambda n: _say(bench.talk(n, LEVEL_S)))
    faults = _say(bench.talk(N_AMONG_FAULTS, FAULTS_S, among_faults=True))
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "date": date.today().isoformat(),
        "commit": _commit(),
        "one_caller": asdict(lone),
        "callers": asdict(goal),
        "levels": [asdict(level) for level in levels],
        "most_callers": max((level.n_callers for level in levels if level.holds(BOUND_S)), default=0),
        "among_faults": asdict(faults),
        "memory": bench.memory(N_SESSIONS),
    }


def _most(known: Level, at: Callable[[int], Level]) -> list[Level]:
    """Levels up from the one that is known until one does not hold, or down until one does."""
    tried = [known]
    if known.holds(BOUND_S):
        for n in (n for n in LEVELS if n > known.n_callers):
            tried.append(at(n))
            if not tried[-1].holds(BOUND_S):
                break
    else:
        for n in (n for n in reversed(LEVELS) if n < known.n_callers):
            tried.append(at(n))
            if tried[-1].holds(BOUND_S):
                break
    return sorted(tried, key=lambda level: level.n_callers)


def _say(level: Level) -> Level:
    """Print what was measured, as it goes."""
    print(
        f"{level.n_callers:3} callers: {level.n_turns} turns, {level.n_lost} lost, {level.n_errors} errors; "
        f"decision to first sample p50 {level.decision_ms['p50']:.0f} ms, p95 {level.decision_ms['p95']:.0f} ms; "
        f"drafts {level.draft_hits:.0%}; "
        f"cores {level.server_cores} ({level.loop_cores} the loop) + {level.callers_cores}; "
        f"loop late p95 {level.loop_late_ms['p95']:.0f} ms, most {level.loop_late_ms['most']:.0f} ms",
        flush=True,
    )
    return level


def soak(bench: Bench, minutes: float) -> None:
    """Callers for a long time, a line a minute: whether anything grows."""
    began = time.monotonic()
    while time.monotonic() < began + 60 * minutes:
        _say(bench.talk(N_SOAK, SOAK_SLICE_S))
        now = bench.resident()
        spent = (time.monotonic() - began) / 60
        memory, threads, tasks = now["resident_mb"], now["n_threads"], now["n_tasks"]
        print(f"    {spent:.1f} min: {memory:.0f} MB, {threads} threads, {tasks} tasks", flush=True)


def show(results: dict[str, Any]) -> None:
    """One table a person can read."""
    from rich.console import Console
    from rich.table import Table

    goal, faults, memory = results["callers"], results["among_faults"], results["memory"]
    grown_mb = memory["after_mb"] - memory["before_mb"]
    p95, late_ms = goal["decision_ms"]["p95"], goal["loop_late_ms"]["most"]
    n_callers, most = goal["n_callers"], results["most_callers"]
    rows = [
        (
            f"{n_callers} callers: decision to first sample, p95 (ms)",
            f"{p95:.0f}",
            f"{1000 * DECISION_S:.0f}",
            p95 <= 1000 * DECISION_S,
        ),
        (f"  turns lost, of {goal['n_turns']}", goal["n_lost"], "0", not goal["n_lost"]),
        ("  event loop held up at most (ms)", f"{late_ms:.1f}", f"{1000 * HELD_UP_S:.0f}", late_ms <= 1000 * HELD_UP_S),
        (f"most callers with p95 under {1000 * BOUND_S:.0f} ms", most, n_callers, most >= n_callers),
        (
            f"memory after {memory['n_sessions']} sessions (MB more)",
            f"{grown_mb:.1f}",
            f"{MEMORY_MB:.0f}",
            abs(grown_mb) <= MEMORY_MB,
        ),
        (
            "  threads and tasks more",
            f"{memory['threads_more']}, {memory['tasks_more']}",
            "0, 0",
            memory["threads_more"] <= 0 and memory["tasks_more"] <= 0,
        ),
        (
            f"turns lost among faulty clients, of {faults['n_turns']}",
            faults["n_lost"],
            "0",
            not (faults["n_lost"] or faults["n_errors"]),
        ),
        (
            "  decision to first sample, p95 (ms)",
            f"{faults['decision_ms']['p95']:.0f}",
            f"{1000 * DECISION_S:.0f}",
            faults["decision_ms"]["p95"] <= 1000 * DECISION_S,
        ),
    ]
    table = Table(title=f"The server under load, {results['machine']}, {results['date']}")
    for name in ("what", "figure", "goal", ""):
        table.add_column(name, justify="left" if name in ("what", "") else "right")
    for what, figure, wanted, holds in rows:
        table.add_row(what, str(figure), str(wanted), "PASS" if holds else "short of goal")
    Console().print(table)


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
