"""What operators see: Prometheus metrics, and a log of JSON lines in which nothing that was said appears."""

import json
import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from rejoinder.events import (
    ActionRun,
    BackchannelHeard,
    Event,
    ReplyAudio,
    ReplyDone,
    Samples,
    StageFailed,
    TurnEnded,
    Watcher,
)
from rejoinder.serve.security import Admission

if TYPE_CHECKING:
    from rejoinder.serve.calls import CallInfo

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

STAGE_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 1.2, 2.0, 5.0, 15.0)
"""Upper bounds of the stages' histograms; 0.5 and 0.8 s are the bounds that answers are measured against."""

REQUEST_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

LAG_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
"""0.02 s is the most that anything may hold up the event loop."""

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}
"""What every log record has; anything else was given with `extra`."""


class Metrics:
    """The server's metrics, in a registry of their own: two servers in one process do not mix theirs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "rejoinder_requests", "Requests by route and status.", ("route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "rejoinder_request_seconds",
            "Time from a request to the end of its response.",
            ("route",),
            buckets=REQUEST_BUCKETS_S,
            registry=self.registry,
        )
        self._stages = Histogram(
            "rejoinder_stage_seconds",
            "Time that a stage took for one piece of work.",
            ("stage",),
            buckets=STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self._refused = Counter(
            "rejoinder_refused", "Requests and calls that were not let in.", ("code",), registry=self.registry
        )

        self._calls = _CallCounters(self.registry, self.stages)
        self._loop_lag = Histogram(
            "rejoinder_event_loop_lag_seconds",
            "By how much the event loop was late for what it was to do.",
            buckets=LAG_BUCKETS_S,
            registry=self.registry,
        )

    def watch(self, name: str, description: str, admission: Admission) -> None:
        """Show how many are inside, as the gauge `rejoinder_<name>`, and how many may be."""
        Gauge(f"rejoinder_{name}", description, registry=self.registry).set_function(lambda: admission.n_inside)
        Gauge(f"rejoinder_{name}_limit", f"Most of: {description}", registry=self.registry).set(admission.n_most)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered. `route` is the path's pattern, never the path: labels must stay few."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def stage(self, name: str, seconds: float) -> None:
        """Count what a stage took."""
        self._stages.labels(name).observe(seconds)

    def stages(self, took_s: Mapping[str, float]) -> None:
        """Count what each stage of a turn took."""
        for name, seconds in took_s.items():
            self.stage(name, seconds)

    def refused(self, code: str) -> None:
        """Count what was not let in."""
        self._refused.labels(code).inc()

    def watch_call(self, call: "CallInfo") -> Watcher:
        """Count what happens in a call."""
        return _CallMetrics(self._calls, call.door)

    def loop_lag(self, seconds: float) -> None:
        """Count by how much the event loop was late."""
        self._loop_lag.observe(seconds)

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


class _CallCounters:
    """What is counted of all calls, by door."""

    def __init__(self, registry: CollectorRegistry, stages: Callable[[Mapping[str, float]], None]) -> None:
        self.stages = stages

        def counter(name: str, description: str, *labels: str) -> Counter:
            return Counter(f"rejoinder_{name}", description, ("door", *labels), registry=registry)

        def waits(name: str, description: str) -> Histogram:
            return Histogram(
                f"rejoinder_{name}_seconds", description, ("door",), buckets=STAGE_BUCKETS_S, registry=registry
            )

        self.calls = counter("calls", "Calls that were answered.")
        self.turns = counter("turns", "Turns of callers.")
        self.draft_hits = counter("draft_hits", "Turns whose reply was ready when they ended.")
        self.cut_offs = counter("cut_offs", "Turns that were taken to be over too soon, and taken up again.")
        self.interruptions = counter("interruptions", "Replies that callers interrupted.")
        self.backchannels = counter("backchannels", "Backchannels that replies went on over.")
        self.failures = counter("stage_failures", "Stages that raised or took too long.", "stage")
        self.actions = counter("actions", "Actions that ran.", "ok")
        self.decision = waits("decision", "From the decision that a turn is over to the reply's first sample.")
        self.response = waits("response", "From the last sample of speech to the reply's first sample.")


class _CallMetrics:
    """Counts what happens in one call."""

    def __init__(self, counters: _CallCounters, door: str) -> None:
        self._counters = counters
        self._door = door
        self._speech_end_s: float | None = None
        self._decided_s = 0.0
        counters.calls.labels(door).inc()

    def event(self, event: Event) -> None:
        counters, door = self._counters, self._door
        match event:
            case TurnEnded():
                counters.turns.labels(door).inc()
                counters.draft_hits.labels(door).inc(event.draft_hit)
                counters.cut_offs.labels(door).inc(event.continues)
                counters.stages(event.timings_s)
                self._speech_end_s, self._decided_s = event.speech_end_s, event.at_s
            case ReplyAudio(decision_s=float(decision_s)) if self._speech_end_s is not None:
                counters.decision.labels(door).observe(decision_s)
                counters.response.labels(door).observe(self._decided_s - self._speech_end_s + decision_s)
                self._speech_end_s = None  # a greeting or an idle prompt answers nobody
            case ReplyDone(interrupted=True):
                counters.interruptions.labels(door).inc()
            case BackchannelHeard():
                counters.backchannels.labels(door).inc()
            case StageFailed(stage=stage):
                counters.failures.labels(door, stage).inc()
            case ActionRun(ok=ok):
                counters.actions.labels(door, str(ok).lower()).inc()
            case _:
                pass

    def audio(self, frame: Samples) -> None:
        """Audio is not counted."""

    def closed(self) -> None:
        """What was counted stands."""


class JsonLines(logging.Formatter):
    """A JSON object a line: time, level, logger, message and what was given with `extra`.

    An exception is shown by its kind and its places in the code, without its message: that may quote what was said.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in record.__dict__.items() if name not in _PLAIN},
        }
        if record.exc_info and record.exc_info[1] is not None:
            entry["error"] = type(record.exc_info[1]).__name__
            entry["at"] = places(record.exc_info[1])
        return json.dumps(entry, ensure_ascii=False, default=str)


def places(error: BaseException) -> list[str]:
    """Where an exception passed, innermost last: file, line and function of its last five frames."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-5:]]


def start_logging(*, verbose: bool = False) -> None:
    """Log JSON lines to standard error: the server's own and, less talkative, those of the libraries."""
    shown = logging.StreamHandler()
    shown.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [shown]
    root.setLevel(logging.WARNING)
    for name in ("rejoinder", "uvicorn"):
        logging.getLogger(name).setLevel(logging.DEBUG if verbose and name == "rejoinder" else logging.INFO)
