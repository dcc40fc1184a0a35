"""Tests of what all doors share: calls are let in, counted and watched alike."""

import asyncio
import logging
from collections.abc import Iterator

import numpy as np
import pytest

from rejoinder.assistant import Assistant
from rejoinder.events import Event, ReplyAudio, ReplyDone, Samples, SessionEnded, StageFailed, TurnEnded
from rejoinder.serve.calls import CallInfo, Calls
from rejoinder.serve.metrics import Metrics
from rejoinder.serve.security import Admission, RefusedError
from rejoinder.serve.settings import Settings
from tests.fakes import fake_pipeline


class Notes:
    """Remembers what it was told of a call."""

    def __init__(self, info: CallInfo) -> None:
        self.info = info
        self.events: list[Event] = []
        self.n_samples = 0
        self.is_closed = False

    def event(self, event: Event) -> None:
        self.events.append(event)

    def audio(self, frame: Samples) -> None:
        self.n_samples += len(frame)

    def closed(self) -> None:
        self.is_closed = True


class Failing(Notes):
    """A watcher with an error in it."""

    def event(self, event: Event) -> None:
        raise RuntimeError(f"what was said stands in here: {event}")


@pytest.fixture
def assistant() -> Iterator[Assistant]:
    assistant = Assistant(fake_pipeline())
    yield assistant
    assistant.close()


async def _typed_turn(calls: Calls) -> None:
    with calls.answer("page") as call:
        async with call.session() as session:
            await session.feed(np.zeros(1600, np.float32))
            session.submit_text("hello")
            async for event in session.events():
                if isinstance(event, ReplyDone):
                    await session.close()


def test_a_call_is_watched_from_its_first_sample_to_its_end(assistant: Assistant) -> None:
    notes: list[Notes] = []

    def watch(info: CallInfo) -> Notes:
        notes.append(Notes(info))
        return notes[-1]

    asyncio.run(_typed_turn(Calls(assistant, Settings(), watchers=(watch,))))

    assert notes[0].info.door == "page"
    assert notes[0].info.id.startswith("call_")
    assert notes[0].n_samples == 1600
    assert notes[0].is_closed
    kinds = [type(event) for event in notes[0].events]
    assert kinds[0] is TurnEnded
    assert kinds[-1] is SessionEnded
    assert ReplyAudio in kinds


def test_a_watcher_that_fails_harms_neither_the_call_nor_the_others(
    assistant: Assistant, caplog: pytest.LogCaptureFixture
) -> None:
    notes: list[Notes] = []

    def watch(info: CallInfo) -> Notes:
        notes.append(Notes(info))
        return notes[-1]

    asyncio.run(_typed_turn(Calls(assistant, Settings(), watchers=(Failing, watch))))

    assert any(isinstance(event, ReplyDone) for event in notes[0].events)
    dropped = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(dropped) == 1
    assert "what was said" not in dropped[0].getMessage()


def test_calls_are_counted_by_door(assistant: Assistant) -> None:
    metrics = Metrics()
    asyncio.run(_typed_turn(Calls(assistant, Settings(), metrics=metrics)))
    shown = metrics.exposition().decode()
    for line in (
        'rejoinder_calls_total{door="page"} 1.0',
        'rejoinder_turns_total{door="page"} 1.0',
        'rejoinder_decision_seconds_count{door="page"} 1.0',
        'rejoinder_stage_seconds_count{stage="understand"} 1.0',
    ):
        assert line in shown


def test_what_happens_in_calls_is_counted() -> None:
    metrics = Metrics()
    watcher = metrics.watch_call(CallInfo("call_1", "sip"))
    watcher.event(TurnEnded("one", 1.0, speech_end_s=2.0, at_s=2.5, draft_hit=True, continues=True))
    watcher.event(ReplyAudio(np.zeros(8, np.float32), 22050, 2.5, decision_s=0.25))
    watcher.event(ReplyAudio(np.zeros(8, np.float32), 22050, 2.5))
    watcher.event(ReplyDone(interrupted=True, at_s=3.0))
    watcher.event(StageFailed("understanding", "TimeoutError", 3.0))
    shown = metrics.exposition().decode()
    for line in (
        'rejoinder_draft_hits_total{door="sip"} 1.0',
        'rejoinder_cut_offs_total{door="sip"} 1.0',
        'rejoinder_interruptions_total{door="sip"} 1.0',
        'rejoinder_stage_failures_total{door="sip",stage="understanding"} 1.0',
        'rejoinder_response_seconds_sum{door="sip"} 0.75',
    ):
        assert line in shown


def test_a_call_too_many_and_one_that_comes_while_draining_are_refused(assistant: Assistant) -> None:
    admission = Admission(1, "calls")
    calls = Calls(assistant, Settings(), admission=admission)
    with calls.answer("sip"):
        assert admission.n_inside == 1
        with pytest.raises(RefusedError) as full, calls.answer("sip"):
            pass
    assert full.value.status == 503
    assert full.value.retry_after_s
    assert admission.n_inside == 0
    admission.draining = True
    with pytest.raises(RefusedError) as draining, calls.answer("wyoming"):
        pass
    assert draining.value.code == "draining"


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("10.2.0.1", False),
        ("8.8.8.8", False),
        ("not an address", False),
    ],
)
def test_addresses_that_need_no_key(assistant: Assistant, address: str, trusted: bool) -> None:
    settings = Settings.model_validate({"trusted": ["10.1.0.0/16"]})
    assert Calls(assistant, settings).trusts(address) is trusted
