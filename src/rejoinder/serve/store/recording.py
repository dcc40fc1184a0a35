"""From the events of live calls to the store: nothing here waits on the event loop, and no caller notices a full disk.

A call's watcher only collects. What is finished waits in a short queue for one thread, which redacts it, encodes the
audio and writes it; while the database cannot be written it tries again, and what no longer fits the queue is counted
as lost.
"""

import logging
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter

from rejoinder.audio import SAMPLE_RATE, to_int16
from rejoinder.domain import Domain
from rejoinder.events import (
    ActionRun,
    BackchannelHeard,
    Event,
    ReplyAudio,
    ReplyContinued,
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
from rejoinder.serve.redaction import Redactor
from rejoinder.serve.settings import Settings
from rejoinder.serve.store.database import Store, may_pass, reason
from rejoinder.serve.store.turns import Turn

LONGEST_AUDIO_S = 30.0
"""Of one turn; what was said before that is not kept."""

AROUND_S = 0.3
"""Audio kept before and after the words."""

LONGEST_TEXT = 2_000
"""Characters of a turn that are kept; who types more is not understood beyond them either."""

LONGEST_REDACTED = LONGEST_TEXT + 500
"""Somewhat more is redacted, so that the cut leaves no beginning of a number."""

N_WAITING = 128
"""Turns that may wait to be written."""

CLOSING_S = 10.0
"""How long the end of the server waits for what is still to be written."""

MOST_DAYS = 365_000.0
"""A thousand years: earlier dates have no name."""

SWEEP_S = 3600.0
"""How often what is past its time is deleted."""

OF_REPLY = frozenset({"synthesis", "language model"})
"""Stages that may still fail once a reply has begun; the others then work on the next turn."""

Pcm = NDArray[np.int16]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecorderOptions:
    """What is kept, and for how long."""

    audio: bool = False
    """Keep what callers said as audio, too; turns in which personal data was found are kept without."""
    days: float = 30.0
    """After how many days a turn is deleted."""
    retry_s: float = 5.0
    """How long to wait before a write that failed is tried again."""


@dataclass(frozen=True, slots=True)
class _Finished:
    turn: Turn
    audio: Pcm | None


class Recorder:
    """Writes the turns of all calls. `start` makes one; its `watch` is given to `Calls`."""

    def __init__(self, store: Store, redactor: Redactor, options: RecorderOptions, registry: CollectorRegistry) -> None:
        self.store = store
        self._redactor = redactor
        self._options = options
        self._lost = Counter("rejoinder_store_lost", "Turns that could not be kept in the store.", registry=registry)
        self._queue: queue.Queue[_Finished | None] = queue.Queue(N_WAITING)
        self._closing = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="rejoinder-store", daemon=True)

    @classmethod
    def start(
        cls, store: Store, redactor: Redactor, *, options: RecorderOptions | None = None, registry: CollectorRegistry
    ) -> "Recorder":
        """Begin to write into `store`, which is closed with the recorder; `registry` gets the metric of lost turns."""
        recorder = cls(store, redactor, options or RecorderOptions(), registry)
        recorder._thread.start()
        return recorder

    @classmethod
    def of(cls, settings: Settings, domain: Domain, registry: CollectorRegistry) -> "Recorder | None":
        """What the settings ask for; None where they ask for no store. Raises `SettingsError` as `Store.open` does."""
        if settings.store is None:
            return None
        options = RecorderOptions(audio=settings.store_audio, days=settings.store_days)
        return cls.start(Store.open(settings.store), Redactor.of(domain), options=options, registry=registry)

    def watch(self, call: CallInfo) -> Watcher:
        """Record a call."""
        return _CallRecorder(call, self, audio=self._options.audio)

    def add(self, turn: Turn, audio: Pcm | None = None) -> None:
        """Have a turn written soon; it is lost when too many wait already. Returns at once."""
        try:
            self._queue.put_nowait(_Finished(turn, audio))
        except queue.Full:
            self._lost.inc()

    def close(self) -> None:
        """Write what waits, within `CLOSING_S`, and close the store."""
        self._closing.set()
        try:
            self._queue.put(None, timeout=CLOSING_S)
        except queue.Full:
            logger.error("the store takes too long; what waits for it is lost")
        self._thread.join(CLOSING_S)
        if self._thread.is_alive():
            self._lost.inc(self._queue.qsize())
        self.store.close()

    # On the thread.

    def _run(self) -> None:
        sweep_at = time.monotonic()
        while True:
            if time.monotonic() >= sweep_at:
                self._sweep()
                sweep_at = time.monotonic() + SWEEP_S
            try:
                finished = self._queue.get(timeout=max(0.0, sweep_at - time.monotonic()))
            except queue.Empty:
                continue
            if finished is None:
                return
            self._write(finished)

    def _write(self, finished: _Finished) -> None:
        try:
            turn, flac = self._prepared(finished)
        except Exception as error:
            self._lose(error)
            return
        while True:
            try:
                self.store.add(turn, flac)
            except Exception as error:
                if not may_pass(error):
                    self._lose(error)
                    return
                self._failed(error)
                if self._closing.wait(self._options.retry_s):
                    self._lost.inc()
                    return
            else:
                if self._failing:
                    self._failing = False
                    logger.warning("the store is written again", extra={"lost": round(self.n_lost)})
                return

    @property
    def n_lost(self) -> float:
        """Turns that could not be kept."""
        return next(iter(self._lost.collect())).samples[0].value

    def _prepared(self, finished: _Finished) -> tuple[Turn, bytes | None]:
        """The turn without personal data, and its audio where it held none."""
        turn, redact = finished.turn, self._redactor
        said, replied = turn.text[:LONGEST_REDACTED], turn.reply[:LONGEST_REDACTED]
        text, slots = redact.text(said, turn.slots), redact.slots(turn.slots)
        is_personal = text != said or slots != turn.slots
        flac = None if finished.audio is None or is_personal else encoded(finished.audio)
        reply = redact.text(replied, turn.slots)
        return replace(turn, text=text[:LONGEST_TEXT], slots=slots, reply=reply[:LONGEST_TEXT]), flac

    def _sweep(self) -> None:
        try:
            days = min(self._options.days, MOST_DAYS)
            gone = self.store.forget_before(datetime.now(UTC) - timedelta(days=days))
        except Exception as error:
            logger.error("the store cannot delete what is past its time", extra={"reason": reason(error)})
            return
        if gone:
            logger.info("the store deleted what is past its time", extra={"turns": len(gone)})

    def _failed(self, error: BaseException) -> None:
        if not self._failing:  # once, not at every try
            self._failing = True
            logger.error("the store cannot be written; calls go on", extra={"reason": reason(error)})

    def _lose(self, error: BaseException) -> None:
        self._lost.inc()
        logger.error("a turn could not be kept", extra={"reason": reason(error)})


def encoded(audio: Pcm) -> bytes:
    """FLAC of 16-bit samples, shape (n_samples,), at `SAMPLE_RATE`."""
    import soundfile

    flac = BytesIO()
    soundfile.write(flac, audio, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return flac.getvalue()


@dataclass(slots=True)
class _Open:
    """A turn that may still change: its reply goes on, or is interrupted."""

    values: dict[str, Any]
    audio: Pcm | None
    reply: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    replied: bool = False


class _CallRecorder:
    """Puts the events of one call together to turns."""

    def __init__(self, call: CallInfo, recorder: Recorder, *, audio: bool) -> None:
        self._call = call
        self._recorder = recorder
        self._sound = _Sound() if audio else None
        self._n_turns = 0
        self._began_s: float | None = None
        self._failed: list[str] = []
        self._open: _Open | None = None

    def event(self, event: Event) -> None:
        match event:
            case SpeechStarted(at_s=at_s):
                self._began_s = at_s
            case TurnEnded():
                self._begin(event)
            case StageFailed(stage=stage):
                of_reply = self._open and (not self._open.replied or stage in OF_REPLY)
                (self._open.failed if self._open and of_reply else self._failed).append(stage)
            case SessionEnded(reason=why):
                if self._open:
                    self._open.values["ended"] = why
                self._finish()
                self._began_s, self._failed = None, []
                if self._sound:
                    self._sound = _Sound()  # the next session's clock begins anew
            case ReplyStarted() if self._open and self._open.replied:
                self._finish()  # a question whether the caller is still there belongs to no turn
            case _ if self._open:
                self._add(self._open, event)

    def audio(self, frame: Samples) -> None:
        if self._sound:
            self._sound.add(frame)

    def closed(self) -> None:
        self._finish()

    def _begin(self, event: TurnEnded) -> None:
        if event.continues and self._open:
            began_s = self._open.values["began_s"]  # these words begin with those
            self._open = None
        else:
            self._finish()
            began_s = self._began_s
            self._n_turns += 1
        audio = None
        if self._sound and began_s is not None:
            audio = self._sound.between(began_s - AROUND_S, event.speech_end_s + AROUND_S)
        self._open = _Open(
            {
                "began_s": began_s,
                "n": self._n_turns,
                "at": datetime.now(UTC),
                "text": event.text,
                "text_confidence": event.confidence,
                "typed": began_s is None,
                "draft_hit": event.draft_hit,
                "cut_off": event.continues,
                "silence_s": round(event.at_s - event.speech_end_s, 4),
                "timings_s": {stage: round(seconds, 4) for stage, seconds in event.timings_s.items()},
            },
            audio,
            failed=self._failed,
        )
        self._began_s, self._failed = None, []

    def _add(self, turn: _Open, event: Event) -> None:
        values = turn.values
        match event:
            case Understood(understanding=meant):
                values |= {"intent": meant.intent, "confidence": float(meant.confidence)}
                values |= {"slots": dict(meant.slots), "source": meant.source}
            case ActionRun():
                values |= {"action": event.name, "action_ok": event.ok}
            case ReplyStarted(text=text):
                turn.reply, turn.replied = [text], True
            case ReplyContinued(text=text):
                turn.reply.append(text)
            case ReplyAudio(decision_s=float(decision_s)):
                values["first_audio_s"] = round(decision_s, 4)
            case ReplyDone(interrupted=True):
                values["interrupted"] = True
            case BackchannelHeard():
                values["n_backchannels"] = values.get("n_backchannels", 0) + 1
            case _:
                pass

    def _finish(self) -> None:
        """Hand the turn over, if there is one."""
        turn, self._open = self._open, None
        if turn is None:
            return
        values = {name: value for name, value in turn.values.items() if name != "began_s"}
        values |= {"reply": " ".join(turn.reply), "failed": tuple(turn.failed)}
        info = self._call
        self._recorder.add(Turn(call=info.id, door=info.door, owner=info.owner, **values), turn.audio)


class _Sound:
    """The last `LONGEST_AUDIO_S` of a caller's audio, by its clock."""

    def __init__(self) -> None:
        self._frames: deque[Pcm] = deque()
        self._n_heard = 0
        self._n_kept = 0

    def add(self, frame: Samples) -> None:
        self._frames.append(to_int16(np.nan_to_num(frame)))
        self._n_heard += len(frame)
        self._n_kept += len(frame)
        while self._n_kept - len(self._frames[0]) > LONGEST_AUDIO_S * SAMPLE_RATE:
            self._n_kept -= len(self._frames.popleft())

    def between(self, start_s: float, end_s: float) -> Pcm | None:
        first = self._n_heard - self._n_kept
        start, end = (max(0, round(at_s * SAMPLE_RATE) - first) for at_s in (start_s, end_s))
        audio = np.concatenate(self._frames)[start:end] if self._frames else np.zeros(0, np.int16)
        return audio if len(audio) else None
