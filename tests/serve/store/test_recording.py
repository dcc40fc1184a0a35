"""Events of real sessions become turns in a store; nothing that fails there is noticed by a caller."""

import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from prometheus_client import CollectorRegistry
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from rejoinder.audio import SAMPLE_RATE
from rejoinder.domain import Slot, SlotKind
from rejoinder.events import (
    Event,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    SessionEnded,
    TurnEnded,
    Understanding,
    Understood,
)
from rejoinder.serve.calls import CallInfo
from rejoinder.serve.redaction import Redactor
from rejoinder.serve.store import recording
from rejoinder.serve.store.database import Store
from rejoinder.serve.store.recording import Recorder, RecorderOptions
from rejoinder.serve.store.turns import Turn
from rejoinder.session import Session, SessionOptions
from rejoinder.workers import Workers
from tests.fakes import FakeActions, FakeVad, fake_pipeline, meanings, order_domain, silence, speak
from tests.fakes import FakeUnderstander as Understander
from tests.serve.happenings import EVENTS
from tests.serve.store.turns import turn

CALL = CallInfo("call_1", "page", "kiosk")
REDACTOR = Redactor.of(order_domain())


@contextmanager
def recorder(store: Store, options: RecorderOptions | None = None) -> Iterator[Recorder]:
    running = Recorder.start(store, REDACTOR, options=options, registry=CollectorRegistry())
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def workers() -> Iterator[Workers]:
    running = Workers(1)
    yield running
    running.close()


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'calls.db'}"


def turns(url: str) -> list[Turn]:
    store = Store.open(url)
    found = [one.turn for one in store.latest()]
    store.close()
    return found


async def talk(running: Recorder, workers: Workers, *said: str, **stages: object) -> None:
    """A spoken call, ended by hanging up."""
    watcher = running.watch(CALL)
    options = SessionOptions(lockstep=True, greet=True)
    pipeline = fake_pipeline(**stages)  # type: ignore[arg-type]
    async with Session(pipeline, workers, FakeVad(), options=options, watcher=watcher) as session:  # type: ignore[arg-type]
        await session.feed(silence(3))
        for words in said:
            await session.feed(np.concatenate([speak(words), silence(6)]))
    watcher.closed()


async def test_a_call_becomes_its_turns(file: str, workers: Workers) -> None:
    with recorder(Store.open(file)) as running:
        await talk(running, workers, "a latte", "yes", "what about tea", actions=FakeActions())
    first, second, third = turns(file)
    assert (first.call, first.door, first.owner, first.n) == ("call_1", "page", "kiosk", 1)
    assert (first.text, first.intent, first.slots, first.source) == ("a latte", "order", {"drink": "latte"}, "pattern")
    assert first.reply == "Latte, shall I order it?"
    assert first.draft_hit
    assert not first.typed
    assert first.first_audio_s is not None
    assert {"recognize", "understand", "respond", "wait"} <= first.timings_s.keys()
    assert 0 < first.silence_s < 2
    assert abs(first.at - datetime.now(UTC)) < timedelta(minutes=1)
    assert (second.action, second.action_ok, second.reply) == ("place_order", True, "Your order number is 12.")
    assert (third.source, third.confidence, third.ended) == ("none", 0.0, "closed")


async def test_a_stage_that_failed_and_an_action_that_did_are_kept(file: str, workers: Workers) -> None:
    from tests.fakes import FakeSynthesizer

    with recorder(Store.open(file)) as running:
        await talk(
            running, workers, "a latte", "yes", actions=FakeActions(fail=True), synthesizer=FakeSynthesizer(fail=True)
        )
    first, second = turns(file)
    assert set(first.failed) == {"synthesis"}
    assert second.action_ok is False


async def test_a_typed_turn_and_an_interruption_are_told_apart(file: str, workers: Workers) -> None:
    with recorder(Store.open(file), RecorderOptions(audio=True)) as running:
        watcher = running.watch(CALL)
        async with Session(fake_pipeline(), workers, FakeVad(), watcher=watcher) as session:  # type: ignore[arg-type]
            session.submit_text("when are you open")
            await session.settle()
            session.interrupt()
        watcher.closed()
    (only,) = turns(file)
    assert (only.typed, only.interrupted, only.text) == (True, True, "when are you open")


async def test_only_words_without_personal_data_keep_their_audio(file: str, workers: Workers) -> None:
    domain = order_domain()
    known = {**meanings(), "my name is anna": Understanding("my name is anna")}
    with recorder(Store.open(file), RecorderOptions(audio=True)) as running:
        await talk(running, workers, "a latte", "my name is anna", understander=Understander(known), domain=domain)
    store = Store.open(file)
    first, second = store.latest()
    assert second.turn.text == "my name is [name]"
    assert (first.has_audio, second.has_audio) == (True, False)
    flac = store.audio(first.id)
    store.close()
    assert flac is not None
    samples, rate = soundfile.read(io.BytesIO(flac), dtype="float32")
    assert rate == SAMPLE_RATE
    spoken = speak("a latte")
    loud = np.abs(samples) > 0.05
    assert 0.8 < loud.sum() / (np.abs(spoken) > 0.05).sum() <= 1.05
    assert len(samples) < len(spoken) + SAMPLE_RATE


async def test_without_being_asked_no_audio_is_kept(file: str, workers: Workers) -> None:
    with recorder(Store.open(file)) as running:
        await talk(running, workers, "a latte")
    store = Store.open(file)
    assert [one.has_audio for one in store.latest()] == [False]
    store.close()


def test_a_turn_that_goes_on_is_one_turn_and_a_late_question_is_none(file: str) -> None:
    def ended(text: str, *, continues: bool = False) -> TurnEnded:
        return TurnEnded(text, 0.9, 1.0, 1.5, continues=continues)

    understood = Understood(Understanding("x", "order", 0.9, {"drink": "tea"}, "pattern"), 1.5)
    with recorder(Store.open(file)) as running:
        watcher = running.watch(CALL)
        for event in (
            ReplyStarted("Hello.", 0.0),
            *(ended("a large"), understood, ReplyStarted("Which?", 1.5), ReplyDone(True, 1.6)),
            *(ended("a large tea", continues=True), understood, ReplyStarted("Tea.", 1.8)),
            *(ReplyAudio(np.zeros(1, np.float32), 24_000, 1.8, 0.01), ReplyDone(False, 2.0)),
            *(ReplyStarted("Are you there?", 9.0), ReplyDone(True, 9.5), SessionEnded("idle", 20.0)),
        ):
            watcher.event(event)
        watcher.closed()
    (only,) = turns(file)
    assert (only.text, only.reply, only.cut_off, only.interrupted, only.n) == ("a large tea", "Tea.", True, False, 1)
    assert only.first_audio_s == 0.01


@given(happened=EVENTS)
def test_whatever_happens_in_a_call_each_turn_is_handed_over_once(happened: list[Event]) -> None:
    found: list[Turn] = []
    idle = Recorder(Store(create_engine("sqlite://")), REDACTOR, RecorderOptions(audio=True), CollectorRegistry())
    idle.add = lambda turn, _=None: found.append(turn)  # type: ignore[method-assign, assignment]
    watcher = idle.watch(CALL)
    for event in happened:
        watcher.audio(np.zeros(1600, np.float32))
        watcher.event(event)
    watcher.closed()
    watcher.closed()
    n_ended = sum(isinstance(event, TurnEnded) for event in happened)
    n_continued = sum(isinstance(event, TurnEnded) and event.continues for event in happened)
    assert n_ended - n_continued <= len(found) <= n_ended
    assert [one.n for one in found] == list(range(1, len(found) + 1))


def test_personal_data_is_gone_before_anything_is_written(file: str) -> None:
    domain = order_domain()
    private = Redactor.of(domain.__class__("shop", Path(), slots={"callback": Slot("callback", SlotKind.PHONE)}))
    running = Recorder.start(Store.open(file), private, registry=CollectorRegistry())
    running.add(
        turn(text="call five five five one two three four", slots={"callback": "5551234"}, reply="I call 5551234.")
    )
    running.close()
    (only,) = turns(file)
    assert (only.text, dict(only.slots), only.reply) == ("call [phone]", {"callback": "[phone]"}, "I call [phone].")


def test_a_text_of_any_length_is_kept_in_part(file: str) -> None:
    number = "four one " * 8
    with recorder(Store.open(file)) as running:
        running.add(turn(text="a " * 500_000))
        running.add(turn(n=2, text="x" * 1_950 + f" {number}"))
    first, second = turns(file)
    assert len(first.text) == recording.LONGEST_TEXT
    assert second.text == "x" * 1_950 + " [number] " or second.text == "x" * 1_950 + " [card] "


def test_what_is_past_its_time_is_deleted_at_the_start(file: str) -> None:
    store = Store.open(file)
    store.add(turn("old", at=datetime.now(UTC) - timedelta(days=8)))
    store.add(turn("new", at=datetime.now(UTC) - timedelta(days=6)))
    with recorder(store, RecorderOptions(days=7)) as running:
        running.add(turn("newest", at=datetime.now(UTC)))
    assert [one.call for one in turns(file)] == ["new", "newest"]


class Broken(Store):
    """A database that is gone until it is back."""

    gone = True
    tried: threading.Event

    def add(self, turn: Turn, flac: bytes | None = None) -> int:
        self.tried.set()
        if self.gone:
            raise OperationalError("INSERT", None, Exception("the words"))
        return super().add(turn, flac)


def broken(url: str) -> Broken:
    Store.open(url).close()
    store = Broken.open(url)
    assert isinstance(store, Broken)
    store.tried = threading.Event()
    return store


def test_a_short_outage_loses_nothing(file: str, caplog: pytest.LogCaptureFixture) -> None:
    store = broken(file)
    with caplog.at_level(logging.WARNING), recorder(store, RecorderOptions(retry_s=0.01)) as running:
        running.add(turn())
        running.add(turn(n=2))
        assert store.tried.wait(10)
        store.gone = False
        store.tried.clear()
        assert store.tried.wait(10)
    assert [one.n for one in turns(file)] == [1, 2]
    assert running.n_lost == 0
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["the store cannot be written; calls go on", "the store is written again"]
    assert "the words" not in caplog.text


def test_a_long_outage_loses_what_no_longer_fits_and_counts_it(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "N_WAITING", 2)
    registry = CollectorRegistry()
    store = broken(file)
    running = Recorder.start(store, REDACTOR, options=RecorderOptions(retry_s=60), registry=registry)
    running.add(turn())
    assert store.tried.wait(10)  # one is being tried, two wait, the fourth is lost
    for n in (2, 3, 4):
        running.add(turn(n=n))
    assert registry.get_sample_value("rejoinder_store_lost_total") == 1
    running.close()
    assert registry.get_sample_value("rejoinder_store_lost_total") == 4
    assert turns(file) == []


def test_a_turn_that_no_database_takes_is_lost_alone(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(file)
    add: Callable[..., int] = store.add

    def refuses(turn: Turn, flac: bytes | None = None) -> int:
        if turn.n == 1:
            raise ValueError("the words")
        return add(turn, flac)

    monkeypatch.setattr(store, "add", refuses)
    with recorder(store) as running:
        running.add(turn())
        running.add(turn(n=2))
    assert running.n_lost == 1
    assert [one.n for one in turns(file)] == [2]


FULL = """
import sys, logging, threading
from pathlib import Path
from prometheus_client import CollectorRegistry
from rejoinder.serve.redaction import Redactor
from rejoinder.serve.store.database import Store
from rejoinder.serve.store.recording import Recorder, RecorderOptions
from tests.serve.happenings import EVENTS
from tests.serve.store.turns import turn

logging.basicConfig(format="%(message)s", stream=sys.stdout)
folder = Path(sys.argv[1])
store = Store.open(f"sqlite:///{folder / 'calls.db'}")
store.add(turn("before"))
ballast = folder / "ballast"
try:
    with ballast.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
except OSError as error:
    print(error.strerror)
recorder = Recorder.start(store, Redactor(), options=RecorderOptions(retry_s=0.05), registry=CollectorRegistry())
write, written = store.add, threading.Event()
n_refused = 0
def add(one, flac=None):
    global n_refused
    try:
        number = write(one, flac)
    except Exception:
        n_refused += 1
        if n_refused == 2:
            ballast.unlink()
        raise
    if one.n == 39:
        written.set()
    return number
store.add = add
for n in range(40):
    recorder.add(turn("during", n, text="the very secret words " * 100))
assert written.wait(30)
recorder.close()
print("lost", recorder.n_lost)
store = Store.open(f"sqlite:///{folder / 'calls.db'}")
print("kept", [one.turn.call for one in store.latest()].count("during"))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_full_disk_is_said_and_when_there_is_room_again_all_is_written(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        said = subprocess.run(
            [sys.executable, "-c", FULL, str(disk)], capture_output=True, text=True, check=True, timeout=60
        ).stdout
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
    assert said.splitlines() == [
        "No space left on device",
        "the store cannot delete what is past its time",
        "the store cannot be written; calls go on",
        "the store is written again",
        "lost 0.0",
        "kept 40",
    ]
    assert "secret" not in said
