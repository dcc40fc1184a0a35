"""OpenTelemetry traces: a span for each call, under it one for each turn, under that one for each stage.

A span says where a call came from, how long each stage took and what became of a turn, never what was said. Nothing of
OpenTelemetry is imported unless traces are asked for.

Stages of a turn are timed where they run, and told of when the turn is committed: from their durations, the moment at
which the transcript was there and the end of the turn, their spans are laid out one after the other.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rejoinder import __version__
from rejoinder.errors import require_extra
from rejoinder.events import (
    ActionRun,
    BackchannelHeard,
    Event,
    PartialTranscript,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    Samples,
    SessionEnded,
    SpeechStarted,
    StageFailed,
    TurnEnded,
    Understood,
    Watcher,
)
from rejoinder.serve.calls import CallInfo

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span, Tracer

SERVICE = "rejoinder"
"""What traces call this server unless OTEL_SERVICE_NAME says otherwise."""

TRACES_PATH = "/v1/traces"
"""Where a collector takes traces; added to an endpoint that has no path."""


class Tracing:
    """Traces of one server. `start` makes one; its `watch` is given to `Calls`."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("rejoinder", __version__)

    @classmethod
    def start(cls, endpoint: str) -> "Tracing":
        """Begin to send traces to a collector by OTLP over HTTP, in batches, on a thread of their own.

        The standard OTEL_… variables count for all else: headers, timeouts, sampling, the name of the service. Where
        the collector is not there, traces are dropped. Raises `MissingExtraError`.
        """
        require_extra("traces", "opentelemetry.exporter.otlp.proto.http")
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        scheme, _, place = endpoint.partition("://")
        url = endpoint if "/" in place.rstrip("/") else f"{scheme}://{place.rstrip('/')}{TRACES_PATH}"
        return cls.with_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))

    @classmethod
    def with_processor(cls, processor: "SpanProcessor") -> "Tracing":
        """Traces that go where `processor` takes them."""
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace import TracerProvider

        resource = Resource.create({SERVICE_VERSION: __version__})  # with what OTEL_… variables say
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(processor)
        return cls(provider)

    def watch(self, call: CallInfo) -> Watcher:
        """Trace a call."""
        return _CallTrace(self._tracer, call)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


@dataclass(slots=True)
class _TurnTrace:
    span: "Span"
    decided_ns: int
    replied_ns: int | None = None
    done_ns: int | None = None
    """When the reply was handed over whole; the caller may still interrupt it."""


class _CallTrace:
    """The spans of one call."""

    def __init__(self, tracer: "Tracer", call: CallInfo) -> None:
        self._tracer = tracer
        self._call = tracer.start_span("call", attributes={"rejoinder.call": call.id, "rejoinder.door": call.door})
        self._door = call.door
        self._answered_ns = time.time_ns()
        self._began_ns: int | None = None
        self._heard_ns: int | None = None
        self._turn: _TurnTrace | None = None

    def event(self, event: Event) -> None:
        now_ns = time.time_ns()
        match event:
            case SpeechStarted():
                self._began_ns = now_ns
            case PartialTranscript():
                self._heard_ns = now_ns
            case TurnEnded():
                self._begin(event, now_ns)
            case SessionEnded(reason=reason):
                self._finish(now_ns)
                self._call.add_event("session ended", {"rejoinder.reason": reason})
            case StageFailed(stage=stage, message=message):
                span = self._turn.span if self._turn else self._call
                span.add_event("stage failed", {"rejoinder.stage": stage, "rejoinder.error": message})
            case BackchannelHeard():
                self._call.add_event("backchannel")
            case ReplyStarted() if self._turn and self._turn.replied_ns is not None:
                self._finish(now_ns)  # a question whether the caller is still there belongs to no turn
            case _ if self._turn:
                self._add(self._turn, event, now_ns)

    def audio(self, frame: Samples) -> None:
        """Audio is not traced."""

    def closed(self) -> None:
        self._finish(time.time_ns())
        self._call.end()

    def _begin(self, event: TurnEnded, now_ns: int) -> None:
        self._finish(now_ns)
        took_ns = {stage: round(1e9 * seconds) for stage, seconds in event.timings_s.items()}
        decided_ns = now_ns - took_ns.get("wait", 0)
        heard_ns = min(self._heard_ns or now_ns, now_ns)
        if event.draft_hit:  # all was there when the turn was over
            heard_ns = min(heard_ns, decided_ns - took_ns.get("understand", 0) - took_ns.get("respond", 0))
        # The last look at the audio found the same words where no transcript came of it: it was later than that.
        began_ns = self._began_ns or self._answered_ns
        first_ns = max(heard_ns - took_ns.get("recognize", 0), min(began_ns, decided_ns))
        span = self._span(
            "turn",
            self._call,
            min(self._began_ns or first_ns, decided_ns),
            {
                "rejoinder.door": self._door,
                "rejoinder.draft_hit": event.draft_hit,
                "rejoinder.cut_off": event.continues,
                "rejoinder.typed": self._began_ns is None,
                "rejoinder.silence_s": round(event.at_s - event.speech_end_s, 4),
            },
        )
        at_ns = first_ns
        for stage in ("recognize", "understand", "respond"):
            if stage in took_ns:
                self._span(stage, span, at_ns).end(at_ns + took_ns[stage])
                at_ns += took_ns[stage]
        self._span("wait", span, decided_ns).end(now_ns)
        self._turn = _TurnTrace(span, decided_ns)
        self._began_ns = self._heard_ns = None

    def _add(self, turn: _TurnTrace, event: Event, now_ns: int) -> None:
        match event:
            case Understood(understanding=meant):
                turn.span.set_attributes(
                    {
                        "rejoinder.intent": meant.intent or "",  # the domain's own word, not the caller's
                        "rejoinder.source": meant.source,
                        "rejoinder.confidence": round(float(meant.confidence), 4),
                    }
                )
            case ActionRun(name=name, ok=ok, took_s=took_s):
                action: dict[str, str | bool | float] = {"rejoinder.action": name, "rejoinder.ok": ok}
                self._span("action", turn.span, now_ns - round(1e9 * took_s), action).end(now_ns)
            case ReplyStarted():
                turn.replied_ns = now_ns
            case ReplyAudio(decision_s=float(decision_s)):
                turn.span.set_attribute("rejoinder.first_audio_s", round(decision_s, 4))
                # A drafted reply's beginning was synthesized before: what is left is to hand it over.
                self._span("synthesize", turn.span, turn.replied_ns or turn.decided_ns).end(now_ns)
            case ReplyDone(interrupted=interrupted):
                turn.span.set_attribute("rejoinder.interrupted", interrupted)
                turn.done_ns = now_ns
            case _:
                pass

    def _finish(self, now_ns: int) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.span.end(turn.done_ns or now_ns)

    def _span(
        self, name: str, parent: "Span", start_ns: int, attributes: Mapping[str, str | bool | float] | None = None
    ) -> "Span":
        from opentelemetry.trace import set_span_in_context

        return self._tracer.start_span(
            name, context=set_span_in_context(parent), attributes=attributes, start_time=start_ns
        )
