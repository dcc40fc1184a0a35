"""The server on a cluster: `make bench-cluster`, or `python -m benchmarks.cluster`.

The nodes are processes of this machine, and so are the callers: all share its cores. So the figures show what a cluster
does, and what Ray adds to a turn, but not how fast many machines are. Turns are typed, to the cafe's real models.
"""

import asyncio
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from benchmarks.corpus import CAFE, ROOT
from benchmarks.nodes import Nodes, nodes
from rejoinder.serve.cluster.plan import Plan, Scale
from rejoinder.serve.settings import Settings

RESULTS = Path(__file__).parent / "cluster.json"

OVERHEAD_MS = 5.0
"""Goal for what Ray adds to the median turn."""

BACK_S = 10.0
"""Goal for new calls after a node was killed."""

SETTINGS = Settings(max_sessions=64, requests_per_minute=1_000_000)
PLAN = Plan(domain=CAFE, settings=SETTINGS)
SCALE = Scale(cpus=1, min_replicas=2, max_replicas=2)

N_CALLS = 20
N_LIVE = 6
N_TURNS, N_WARM = 200, 20
SECONDS = 10.0
QUESTION, ORDER, MORE = "when are you open", "a large latte please", "make it small"


class Caller:
    """One who types."""

    def __init__(self, port: int, *, token: str | None = None) -> None:
        self._socket = connect(f"ws://127.0.0.1:{port}/talk", compression=None, open_timeout=BACK_S)
        self._socket.send(json.dumps({"type": "hello", "greet": False, "resume": token}))
        self.welcome = self._until("welcome")
        self.token = str(self.welcome["resume"])

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, text: str) -> tuple[float, str]:
        """Seconds to the first audio of the reply, and its words."""
        began = time.perf_counter()
        self._socket.send(json.dumps({"type": "text", "text": text}))
        reply = self._until("reply_started")["text"]
        self._until("reply_audio")
        took_s = time.perf_counter() - began
        self._until("reply_done")
        return took_s, reply

    def _until(self, kind: str) -> dict[str, Any]:
        while True:
            received = self._socket.recv(BACK_S)
            if isinstance(received, str) and (message := json.loads(received))["type"] == kind:
                return dict(message)


@dataclass
class Load:
    """Callers who type one turn after the other."""

    took_s: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @contextmanager
    def on(self, port: int, n_callers: int, *, pause_s: float, new_calls: bool = False) -> Iterator[None]:
        """While the block runs. With `new_calls` one more calls anew for each turn."""
        over = threading.Event()

        def turns(caller: Caller) -> None:
            while not over.wait(pause_s):
                self.took_s.append(caller.ask(QUESTION)[0])

        def live() -> None:
            with Caller(port) as caller:
                turns(caller)

        def anew() -> None:
            while not over.wait(pause_s):
                with Caller(port) as caller:
                    self.took_s.append(caller.ask(QUESTION)[0])

        def noted(act: Callable[[], None]) -> None:
            try:
                act()
            except (WebSocketException, OSError) as error:
                self.lost.append(type(error).__name__)

        callers = [live] * n_callers + [anew] * new_calls
        threads = [threading.Thread(target=noted, args=(act,)) for act in callers]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()


def run_on(plan: Plan, scale: Scale, *, waits: bool = True) -> None:
    """Serve, or change what is served; waiting, until all that is replaced has ended its calls."""
    from ray import serve

    from rejoinder.serve.cluster.application import application

    target = serve.RunTarget(application(plan, scale), name="cafe", route_prefix="/")
    serve.run_many([target], wait_for_applications_running=waits)


def overhead(cluster: Nodes) -> dict[str, float]:
    """Turns of one caller by Ray and by the plain server in turn, both with one process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.cluster", "--plain"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as plain:
        assert plain.stdout is not None
        try:
            with Caller(cluster.port) as ray_caller, Caller(int(plain.stdout.readline())) as plain_caller:
                pairs = [(ray_caller.ask(QUESTION)[0], plain_caller.ask(QUESTION)[0]) for _ in range(N_TURNS)][N_WARM:]
        finally:
            plain.terminate()
    by_ray, by_plain = np.array(pairs).T * 1000
    return {
        "ray_p50_ms": _rounded(np.median(by_ray)),
        "plain_p50_ms": _rounded(np.median(by_plain)),
        "ray_p95_ms": _rounded(np.percentile(by_ray, 95)),
        "plain_p95_ms": _rounded(np.percentile(by_plain, 95)),
        "added_p50_ms": _rounded(np.median(by_ray) - np.median(by_plain)),
    }


def killed(cluster: Nodes) -> dict[str, Any]:
    """A node is killed during calls of which each has an order under way."""
    with ExitStack() as opened:
        callers = [opened.enter_context(Caller(cluster.port)) for _ in range(N_CALLS)]
        for caller in callers:
            caller.ask(ORDER)
        time.sleep(0.3)  # a state is kept a moment after its reply began
        cluster.kill(cluster.workers[0])
        began = time.perf_counter()
        new_call_s = _again(lambda: _new_call(cluster.port), began)
        replies, lost = [], []
        for caller in callers:
            try:
                replies.append(caller.ask(MORE)[1])
            except WebSocketException:
                lost.append(caller)
        went_on: list[str] = []
        for caller in lost:
            _again(lambda token=caller.token: went_on.append(_resumed(cluster.port, token)), began)  # type: ignore[misc]
        back_s = time.perf_counter() - began
    return {
        "n_calls": N_CALLS,
        "n_unharmed": len(replies),
        "n_lost": len(lost),
        "n_resumed_with_state": sum("small" in reply.lower() and "latte" in reply.lower() for reply in went_on),
        "n_unharmed_with_state": sum("small" in reply.lower() and "latte" in reply.lower() for reply in replies),
        "new_call_s": round(new_call_s, 2),
        "all_back_s": round(back_s, 2),
    }


def _new_call(port: int) -> None:
    with Caller(port) as caller:
        caller.ask(QUESTION)


def _resumed(port: int, token: str) -> str:
    with Caller(port, token=token) as caller:
        return caller.ask(MORE)[1]


def _again(act: Callable[[], None], began: float) -> float:
    """Try until it goes; the seconds since `began`."""
    while True:
        try:
            act()
            return time.perf_counter() - began
        except (WebSocketException, OSError):
            time.sleep(0.1)


def updated(cluster: Nodes) -> dict[str, Any]:
    """All replicas are replaced while calls go on and new ones come."""
    load = Load()
    with load.on(cluster.port, N_LIVE, pause_s=0.3, new_calls=True):
        began = time.perf_counter()
        run_on(PLAN.model_copy(update={"models": "promoted since"}), SCALE, waits=False)
        cluster.wait_for("cafe", 2, n_going=2)
        took_s = time.perf_counter() - began
        time.sleep(5.0)  # the old replicas have none but the calls that they had
    return {
        "n_live_calls": N_LIVE,
        "n_turns": len(load.took_s),
        "n_lost": len(load.lost),
        "took_s": round(took_s, 1),
        "turn_p95_ms": _rounded(1000 * np.percentile(load.took_s, 95)),
    }


def throughput(cluster: Nodes) -> list[dict[str, float]]:
    """Turns a second of callers who type without a pause, against the number of replicas."""
    from ray import serve

    found = []
    for n_replicas in (1, 2):
        serve.delete("cafe")  # changing it in place would need room for one replica more
        run_on(PLAN, SCALE.model_copy(update={"min_replicas": n_replicas, "max_replicas": n_replicas}))
        cluster.wait_for("cafe", n_replicas)
        time.sleep(3.0)
        load = Load()
        with load.on(cluster.port, 4 * n_replicas, pause_s=0.0):
            time.sleep(SECONDS)
        p50 = _rounded(1000 * np.median(load.took_s))
        found.append({"n_replicas": n_replicas, "turns_a_second": round(len(load.took_s) / SECONDS, 1), "p50_ms": p50})
    return found


def stage_apart() -> dict[str, float]:
    """What the way to a stage in a deployment of its own costs: three seconds of audio there, words back, no model."""
    from ray import serve

    class Apart:
        async def transcribe(self, samples: bytes) -> str:
            return f"{len(samples)} bytes"

    async def ask() -> list[float]:
        handle, took_s = serve.get_app_handle("apart"), []
        for _ in range(N_TURNS):
            began = time.perf_counter()
            await handle.transcribe.remote(audio)
            took_s.append(time.perf_counter() - began)
        return took_s

    serve.run(serve.deployment(ray_actor_options={"num_cpus": 0})(Apart).bind(), name="apart", route_prefix="/apart")
    audio = np.zeros(48_000, np.int16).tobytes()  # below the 100 kB from which on Ray takes its object store
    loop = asyncio.new_event_loop()  # goes on: Serve ends the handle's tasks on it
    threading.Thread(target=loop.run_forever, daemon=True).start()
    took_s = asyncio.run_coroutine_threadsafe(ask(), loop).result()
    serve.delete("apart")
    p50, p95 = np.percentile(took_s[N_WARM:], [50, 95]) * 1000
    return {"p50_ms": _rounded(p50), "p95_ms": _rounded(p95)}


def _rounded(value: Any) -> float:
    return round(float(value), 1)


def _plain() -> None:
    """Serve the cafe without Ray until SIGTERM, with as many threads as a replica; the first line is the port."""
    from rejoinder.serve.app import create_app, listen, server
    from rejoinder.serve.cluster.application import load

    settings = SETTINGS.model_copy(update={"port": 0})
    with listen(settings) as taken:
        app = create_app(load(PLAN), settings)
        print(taken.getsockname()[1], flush=True)
        server(app, settings).run(sockets=[taken])


def main() -> None:
    """Run, print, write the JSON."""
    if sys.argv[1:] == ["--plain"]:
        _plain()
        return
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores shared by all nodes and callers",
        "date": date.today().isoformat(),
        **{name: known[name] for name in ("adapt",) if name in known},  # `benchmarks.cluster_adapt` measures it
        "goals": {"added_p50_ms": OVERHEAD_MS, "new_call_s": BACK_S, "n_lost_in_update": 0},
    }

    def note(name: str, figures: Any) -> None:
        results[name] = figures
        print(f"{name}: {json.dumps(figures)}", flush=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")

    with nodes(2) as cluster:
        run_on(PLAN, SCALE.model_copy(update={"min_replicas": 1, "max_replicas": 1}))
        time.sleep(3.0)
        note("overhead", overhead(cluster))
        note("throughput", throughput(cluster))
        note("killed_node", killed(cluster))
        cluster.add(n_cpus=3)  # an update needs room for the old replicas and the new ones
        cluster.wait_for("cafe", 2)
        note("update", updated(cluster))
        note("stage_apart", stage_apart())


if __name__ == "__main__":
    main()
