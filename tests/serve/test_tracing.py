"""Traces by turn: what took how long, and never what was said."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hypothesis import given
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from rejoinder.events import Event, TurnEnded
from rejoinder.serve.calls import CallInfo
from rejoinder.serve.tracing import Tracing
from rejoinder.session import Session, SessionOptions
from rejoinder.workers import Workers
from tests.fakes import FakeActions, FakeRecognizer, FakeUnderstander, FakeVad, fake_pipeline, meanings, silence, speak
from tests.serve.happenings import EVENTS

CALL = CallInfo("call_1", "page", None)


@pytest.fixture
def workers() -> Iterator[Workers]:
    running = Workers(1)
    yield running
    running.close()


async def talk(tracing: Tracing, workers: Workers, *said: str, **stages: object) -> None:
    watcher = tracing.watch(CALL)
    pipeline = fake_pipeline(**stages)  # type: ignore[arg-type]
    options = SessionOptions(lockstep=True)
    async with Session(pipeline, workers, FakeVad(), options=options, watcher=watcher) as session:  # type: ignore[arg-type]
        for words in said:
            await session.feed(np.concatenate([speak(words), silence(4)]))
    watcher.closed()


async def traced(workers: Workers, *said: str, **stages: object) -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    tracing = Tracing.with_processor(SimpleSpanProcessor(exporter))
    await talk(tracing, workers, *said, **stages)
    tracing.close()
    return list(exporter.get_finished_spans())


def named(spans: list[ReadableSpan], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


async def test_a_call_has_a_span_for_each_turn_and_stage(workers: Workers) -> None:
    spans = await traced(workers, "a latte", "yes", actions=FakeActions())
    (call,) = named(spans, "call")
    first, second = named(spans, "turn")
    assert call.attributes is not None
    assert first.attributes is not None
    assert call.attributes["rejoinder.call"] == "call_1"
    assert (first.attributes["rejoinder.door"], first.attributes["rejoinder.intent"]) == ("page", "order")
    assert first.attributes["rejoinder.draft_hit"] is True
    assert first.attributes["rejoinder.interrupted"] is False
    for turn in (first, second):
        assert turn.parent is not None
        assert turn.parent.span_id == call.context.span_id
        stages = [span for span in spans if span.parent and span.parent.span_id == turn.context.span_id]
        assert {span.name for span in stages} >= {"recognize", "understand", "respond", "wait", "synthesize"}
        for span in stages:
            assert turn.start_time is not None
            assert span.start_time is not None
            assert turn.start_time <= span.start_time <= (span.end_time or 0)
    assert [span.name for span in spans if span.name == "action"] == ["action"]


async def test_stages_last_as_long_as_they_took(workers: Workers) -> None:
    slow = FakeUnderstander(meanings(), delay_s=0.05)
    spans = await traced(workers, "a latte", recognizer=FakeRecognizer(delay_s=0.02), understander=slow)
    seconds = {span.name: ((span.end_time or 0) - (span.start_time or 0)) / 1e9 for span in spans}
    assert seconds["understand"] >= 0.05
    assert seconds["recognize"] >= 0.02
    assert seconds["call"] >= seconds["turn"] > 0


async def test_failures_are_events_and_nothing_quotes_the_caller(workers: Workers) -> None:
    words = "the very secret words"
    broken = FakeRecognizer(fail=lambda samples: len(samples) > 40_000)
    spans = await traced(workers, words, f"{words} {words} {words} {words}", recognizer=broken)
    shown = " ".join(span.to_json() for span in spans)
    assert "stage failed" in shown
    assert "secret" not in shown


async def test_an_interruption_after_the_reply_was_handed_over_is_seen(workers: Workers) -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing.with_processor(SimpleSpanProcessor(exporter))
    watcher = tracing.watch(CALL)
    async with Session(fake_pipeline(), workers, FakeVad(), watcher=watcher) as session:  # type: ignore[arg-type]
        session.submit_text("when are you open")
        await session.settle()
        session.interrupt()
    watcher.closed()
    (turn,) = named(list(exporter.get_finished_spans()), "turn")
    assert turn.attributes is not None
    assert (turn.attributes["rejoinder.interrupted"], turn.attributes["rejoinder.typed"]) == (True, True)
    tracing.close()


@given(happened=EVENTS)
def test_whatever_happens_in_a_call_every_span_ends(happened: list[Event]) -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing.with_processor(SimpleSpanProcessor(exporter))
    watcher = tracing.watch(CALL)
    for event in happened:
        watcher.event(event)
    watcher.closed()
    spans = list(exporter.get_finished_spans())
    assert len(named(spans, "turn")) == sum(isinstance(event, TurnEnded) for event in happened)
    assert len(named(spans, "call")) == 1
    assert all((span.start_time or 0) <= (span.end_time or 0) for span in spans)
    tracing.close()


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A small OTLP collector."""
    got: list[ExportTraceServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            import gzip

            body = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            assert self.path == "/v1/traces"
            got.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("path", ["", "/", "/v1/traces"])
async def test_traces_arrive_at_a_collector(workers: Workers, path: str) -> None:
    with collector() as (url, got):
        tracing = Tracing.start(url + path)
        await talk(tracing, workers, "a latte")
        await asyncio.to_thread(tracing.close)
    resources = [resource for request in got for resource in request.resource_spans]
    names = {span.name for resource in resources for scope in resource.scope_spans for span in scope.spans}
    assert {"call", "turn", "recognize", "understand", "respond", "synthesize", "wait"} <= names
    service = {one.key: one.value.string_value for one in resources[0].resource.attributes}["service.name"]
    assert service == "rejoinder"


def test_nothing_of_it_is_imported_unless_it_is_asked_for() -> None:
    code = "import sys, rejoinder.serve.tracing; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "opentelemetry" not in loaded
