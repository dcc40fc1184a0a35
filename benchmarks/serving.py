"""The server that the load test calls: a process of its own that also tells what it measured inside, at `/measured`."""

import asyncio
import gc
import threading
import time
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.corpus import CAFE
from rejoinder import Assistant
from rejoinder.dialogue import DialogueState
from rejoinder.events import Event, Samples, StageFailed, TurnEnded, Watcher
from rejoinder.pipeline import Pipeline
from rejoinder.serve.app import create_app, listen, server
from rejoinder.serve.settings import Settings
from rejoinder.session import Session, SessionOptions

SETTINGS = Settings(port=0, max_sessions=512, requests_per_minute=1_000_000)
"""The limits are not what is measured here."""

TICK_S = 0.005
"""How often the event loop is looked at."""

_caller: ContextVar[str] = ContextVar("caller", default="")
"""Who is on the line: what the client gave as `?model=`. Tasks inherit it from the connection that began them."""


class Probe:
    """What happens inside the server between two looks at it."""

    def __init__(self) -> None:
        self.turns: list[dict[str, Any]] = []
        self.n_failures = 0
        self._late_s: list[float] = []
        self._watching: asyncio.Task[None] | None = None

    def event(self, event: Event) -> None:
        """A session emits an event."""
        now = time.perf_counter()
        match event:
            case TurnEnded():
                decided_at = now - event.timings_s.get("wait", 0.0)
                turn = {"caller": _caller.get(), "decided_at": decided_at, "draft_hit": event.draft_hit}
                self.turns.append({**turn, "endpointing_s": event.at_s - event.speech_end_s})
            case StageFailed():
                self.n_failures += 1
            case _:
                pass

    async def _watch_the_loop(self) -> None:
        """Note by how much the event loop is late, all the time."""
        while True:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            self._late_s.append(time.perf_counter() - due)

    async def measured(self) -> dict[str, Any]:
        """All of it, and begin anew; the event loop is watched from the first time on."""
        self._watching = self._watching or asyncio.create_task(self._watch_the_loop())
        now = {
            "turns": self.turns,
            "n_failures": self.n_failures,
            "late_s": self._late_s,
            "resident_mb": int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20,
            "cpu_s": time.process_time(),
            "loop_cpu_s": time.thread_time(),
            "n_threads": threading.active_count(),
            "n_tasks": len(asyncio.all_tasks()),
        }
        self.turns, self.n_failures, self._late_s = [], 0, []
        return now


class _Probed:
    """Tells the probe of a session's events, and then whoever watches it anyway."""

    def __init__(self, probe: Probe, watcher: Watcher | None) -> None:
        self._probe = probe
        self._watcher = watcher

    def event(self, event: Event) -> None:
        self._probe.event(event)
        if self._watcher is not None:
            self._watcher.event(event)

    def audio(self, frame: Samples) -> None:
        if self._watcher is not None:
            self._watcher.audio(frame)

    def closed(self) -> None:
        if self._watcher is not None:
            self._watcher.closed()


class _ProbedAssistant(Assistant):
    """An assistant whose sessions are probed; `probe` is set once it is loaded."""

    probe: Probe

    def session(
        self,
        *,
        options: SessionOptions | None = None,
        state: DialogueState | None = None,
        pipeline: Pipeline | None = None,
        watcher: Watcher | None = None,
    ) -> Session:
        probed = _Probed(self.probe, watcher)
        return super().session(options=options, state=state, pipeline=pipeline, watcher=probed)


class _Named:
    """ASGI middleware that notes who is on the line."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            _caller.set(parse_qs(scope["query_string"].decode()).get("model", [""])[0])
        await self._app(scope, receive, send)


def main() -> None:
    """Serve the cafe until SIGTERM; the first line of output is the port."""
    assistant = _ProbedAssistant.load(CAFE)
    assert isinstance(assistant, _ProbedAssistant)
    assistant.probe = probe = Probe()
    assistant.warm()
    app = create_app(assistant, SETTINGS)
    gc.collect()
    gc.freeze()  # as `serve` does
    app.add_middleware(_Named)
    app.get("/measured")(probe.measured)
    with listen(SETTINGS) as taken:
        print(taken.getsockname()[1], flush=True)
        server(app, SETTINGS).run(sockets=[taken])


if __name__ == "__main__":
    main()
