"""What is measured, a piece at a time: work for `processes.spread`, which returns records for the run's folder."""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from rejoinder import audio, conditions
from rejoinder.assistant import Assistant
from rejoinder.errors import AudioError
from rejoinder.evaluate import hearing, loadtest, overlap, records, turntaking
from rejoinder.evaluate.records import Record
from rejoinder.evaluate.rehearsal import rehearsed
from rejoinder.evaluate.sets import TestSet
from rejoinder.evaluate.systems import System
from rejoinder.evaluate.turntaking import Call
from rejoinder.events import Samples
from rejoinder.progress import Progress

ENDINGS, OVERLAPS = "endings.jsonl", "overlaps.jsonl"

_MODES: tuple[Literal["text", "audio"], ...] = ("text", "audio")


class Part(StrEnum):
    """What can be measured of an assistant."""

    TURNS = "turns"
    """Recordings through live sessions, in every condition."""
    ENDPOINTING = "endpointing"
    """What other settings of the endpointer would make of them."""
    OVERLAPS = "overlaps"
    """Interruptions and backchannels."""
    VOICE = "voice"
    """What it says, heard again."""
    CONVERSATIONS = "conversations"
    """The domain's own tests."""
    LATENCY = "latency"
    """Waiting, at the pace of speech."""


NEED_RECORDINGS = frozenset((Part.TURNS, Part.ENDPOINTING, Part.LATENCY))
"""Parts that cannot be measured without recordings."""


CONDITIONS = ("clean", "phone", "noise10", "reverb", "loss5")
"""What recordings are heard through unless somebody says otherwise."""

CALLERS = (1, 4)
"""Numbers of callers that waiting is measured at."""


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What is measured, and how thoroughly."""

    conditions: Sequence[str] = CONDITIONS
    """What the recordings are heard through (`conditions.condition`)."""
    parts: frozenset[Part] = frozenset(Part)
    callers: Sequence[int] = CALLERS
    """Numbers of callers that waiting is measured at."""
    latency_s: float = 30.0
    """How long each of these takes."""
    repeat: int = 1
    """How often each conversation is played."""
    text_only: bool = False
    """Type what callers say in conversations; without it they are spoken, too."""
    noises: Path | None = None
    """A folder of recordings of noise for the conditions; None: it is generated."""
    keep_audio: bool = False
    """Keep what was heard in every turn, and not only in those that went wrong."""
    n_processes: int | None = None
    """One a core unless given."""


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of a part."""

    part: Part
    system: str
    condition: str = ""
    n: int = 0
    """The recording's place in the set; the number of callers for `Part.LATENCY`."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a task."""

    file: str
    """Where its records belong, in the run's folder."""
    records: tuple[Record, ...] = ()
    problems: tuple[str, ...] = ()
    """What could not be measured."""


@dataclass
class Desk:
    """Where tasks are done: a process has one, and one assistant open on it at a time."""

    domain: Path
    out: Path
    systems: Mapping[str, System]
    test_set: TestSet | None
    options: EvaluationOptions = field(default_factory=EvaluationOptions)
    noises: tuple[Path, ...] = ()
    """Recordings of noise for the conditions; none: it is generated."""
    _open: tuple[str, Assistant] | None = field(default=None, init=False)

    def __call__(self, task: Task, progress: Progress) -> Done:
        """Do a task; raises `ModelError` or `DomainError` when the assistant cannot be loaded."""
        system = task.system

        def tell(task: str, n_done: int, n_total: int, note: str = "") -> None:
            progress(f"{task} ({system})", n_done, n_total, note)

        return _DO[task.part](self, task, tell)

    def turn(self, task: Task, _: Progress) -> Done:
        """One recording, in one condition."""
        assert self.test_set is not None
        name, recording = self.test_set.names[task.n], self.test_set.recordings[task.n]
        heard = hearing.hear(
            self.assistant(task.system),
            recording,
            self.call(task.n, task.condition),
            system=task.system,
            condition=task.condition,
            utterance=name,
        )
        turn = heard.turn
        if self.options.keep_audio or hearing.is_wrong(turn):
            turn = replace(turn, audio=self._keep(heard.samples, name, task.condition))
        return Done(records.TURNS, (turn,), tuple(f"{name} ({task.condition}): {one}" for one in heard.failures))

    def endpointing(self, task: Task, _: Progress) -> Done:
        """One recording, at every setting of the endpointer."""
        assert self.test_set is not None
        call = self.call(task.n, task.condition)
        words = turntaking.words_of(self.assistant(task.system))
        observed = turntaking.observe(call.samples, call.end_s, words)
        ended = turntaking.endings(self.test_set.names[task.n], observed)
        return Done(ENDINGS, ended)

    def overlaps(self, task: Task, progress: Progress) -> Done:
        """Everything that is said over replies."""
        n_recordings = len(self.test_set.recordings) if self.test_set else 0
        step = max(1, n_recordings // overlap.MOST_RECORDINGS)
        callers, problems = self._read(range(0, n_recordings, step)[: overlap.MOST_RECORDINGS])
        found = overlap.overlaps(self.assistant(task.system), callers, system=task.system, progress=progress)
        return Done(OVERLAPS, found, problems)

    def voice(self, task: Task, progress: Progress) -> Done:
        """All that the assistant is made to say."""
        from rejoinder.evaluate.speech import measure

        spoken = measure(self.assistant(task.system), system=task.system, folder=self.out, progress=progress)
        return Done(records.SPOKEN, spoken)

    def conversations(self, task: Task, progress: Progress) -> Done:
        """The domain's tests, as text and as audio."""
        from rejoinder.evaluate.conversation import domain_conversations
        from rejoinder.evaluate.play import play_all

        assistant = self.assistant(task.system)
        written = domain_conversations(assistant.domain)
        played: list[Record] = []
        for mode in _MODES[:1] if self.options.text_only else _MODES:
            played += play_all(
                assistant, written, system=task.system, mode=mode, repeat=self.options.repeat, progress=progress
            )
        return Done(records.PLAYED, tuple(played))

    def latency(self, task: Task, progress: Progress) -> Done:
        """So many callers at once."""
        assert self.test_set is not None
        recordings, problems = self._read(range(len(self.test_set.recordings)))
        if not recordings:
            return Done(records.WAITS, (), problems)
        calls = [(name, Call.of(samples).without_lead()) for name, samples in recordings.items()]
        level = loadtest.measure(
            self.assistant(task.system),
            calls,
            task.n,
            system=task.system,
            seconds=self.options.latency_s,
            progress=progress,
        )
        return Done(records.WAITS, level.waits, problems)

    def assistant(self, name: str) -> Assistant:
        """A system's assistant, whose actions do nothing; it stays open until another one is asked for."""
        if self._open is None or self._open[0] != name:
            if self._open is not None:
                self._open[1].close()
                self._open = None
            self._open = name, rehearsed(Assistant.load(self.domain, options=self.systems[name].options))
        return self._open[1]

    def call(self, n: int, condition: str) -> Call:
        """A recording through a condition: the same samples for every system."""
        assert self.test_set is not None
        name, recording = self.test_set.names[n], self.test_set.recordings[n]
        change = conditions.condition(condition, noises=_noises(self.noises))
        return Call.of(recording.load(), change, np.random.default_rng(zlib.crc32(name.encode())))

    def _read(self, places: Iterable[int]) -> tuple[dict[str, Samples], tuple[str, ...]]:
        """The recordings at these places by name, and what is wrong with those that cannot be read."""
        if self.test_set is None:
            return {}, ()
        found, problems = {}, []
        for n in places:
            try:
                found[self.test_set.names[n]] = self.test_set.recordings[n].load()
            except AudioError as error:
                problems.append(str(error))
        return found, tuple(problems)

    def _keep(self, samples: Samples, name: str, condition: str) -> str:
        """Write what was heard; the file's path, relative to the run's folder."""
        plain = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in Path(name).stem)
        path = Path(records.AUDIO) / f"{plain}-{zlib.crc32(name.encode()):08x}-{condition}.flac"
        if not (self.out / path).is_file():  # another system heard the same
            (self.out / path).parent.mkdir(parents=True, exist_ok=True)
            audio.save(self.out / path, samples)
        return path.as_posix()


_Do: TypeAlias = Callable[[Desk, Task, Progress], Done]
_DO: Mapping[Part, _Do] = {
    Part.TURNS: Desk.turn,
    Part.ENDPOINTING: Desk.endpointing,
    Part.OVERLAPS: Desk.overlaps,
    Part.VOICE: Desk.voice,
    Part.CONVERSATIONS: Desk.conversations,
    Part.LATENCY: Desk.latency,
}


@lru_cache(maxsize=1)
def _noises(paths: tuple[Path, ...]) -> tuple[Samples, ...]:
    return tuple(audio.load(path) for path in paths)
