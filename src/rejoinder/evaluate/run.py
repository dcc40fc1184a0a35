"""An evaluation: every part of every system, in as many processes as there are cores, written down as it comes.

    build/evaluations/20261123-164502-1f3a9c/    a run; what is in it: `records`

A run that is killed goes on where it was: the same call finds its folder by `Run.key`.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rejoinder import __version__, build
from rejoinder.conditions import condition
from rejoinder.domain import Domain
from rejoinder.errors import AudioError, RejoinderError
from rejoinder.evaluate import overlap, records, turntaking
from rejoinder.evaluate.processes import Failure, n_cores, spread
from rejoinder.evaluate.records import Played, Run, Spoken, Turn, Wait
from rejoinder.evaluate.scores import Scores
from rejoinder.evaluate.sets import TestSet
from rejoinder.evaluate.systems import System
from rejoinder.evaluate.tasks import ENDINGS, NEED_RECORDINGS, OVERLAPS, Desk, EvaluationOptions, Part, Task
from rejoinder.models import sha256_of
from rejoinder.progress import Progress, silent
from rejoinder.tts.lexicon import TUNED

FOLDER = "evaluations"
"""Where a domain's runs are kept, in its build folder."""

SOUNDS = frozenset((".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff"))

_SPENT = ".spent"
_WRITTEN = frozenset((".yaml", ".yml", ".md", ".txt", ".json", ".csv", ".py"))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A run that is finished."""

    folder: Path
    run: Run
    scores: Scores
    resumed: bool
    """Whether an earlier process had begun it."""


def evaluate(
    domain: Domain,
    systems: Sequence[System],
    test_set: TestSet | None,
    *,
    options: EvaluationOptions | None = None,
    out: Path | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Measure the systems on a set; without one (None), only what needs no recordings.

    Results go to the folder `out`, else to one of their own in the domain's build folder. What cannot be measured, such
    as a recording that cannot be read, is among the run's `problems`. Raises `RejoinderError` where `out` holds another
    run, `AudioError` for an unknown condition, and what loading an assistant raises. After a `KeyboardInterrupt` the
    same call goes on.
    """
    options = options or EvaluationOptions()
    noises = _noises(options.noises)
    for name in options.conditions:
        condition(name)
    run = _plan(domain, systems, test_set, options, noises)
    folder, resumed = _folder(domain, run, out)
    if resumed is not None:
        run = resumed
    else:
        _write(folder, run)
    desk = Desk(domain.folder, folder, {system.name: system for system in systems}, test_set, options, noises)
    with build.locked(folder / ".lock", f"{folder}: another process is at this run; wait for it to end"):
        with _clocked(folder / _SPENT) as spent_s:
            run = _measure(desk, run, progress)
        scores = rescore(folder, run, domain)
        run = replace(run, minutes=max(round(spent_s() / 60, 2), 0.01))
        _write(folder, run)
    return Evaluation(folder, run, scores, resumed is not None)


@contextmanager
def _clocked(path: Path) -> Iterator[Callable[[], float]]:
    """How many seconds a run has taken, those of earlier processes included; kept in a file however it ends."""
    earlier_s, started = 0.0, time.monotonic()
    with suppress(OSError, ValueError):
        earlier_s = float(path.read_text())

    def spent_s() -> float:
        return earlier_s + time.monotonic() - started

    try:
        yield spent_s
    finally:
        with suppress(OSError):  # it is worth nothing beside the records
            path.write_text(f"{spent_s():.1f}")


def rescore(folder: Path, run: Run, domain: Domain) -> Scores:
    """Work out a run's figures from its records, and write them to its folder."""
    from rejoinder.evaluate.scoring import score, write_scores

    systems, conditions = list(run.systems), list(run.conditions)
    turns = sorted(
        records.read(folder, records.TURNS, Turn),
        key=lambda turn: (systems.index(turn.system), conditions.index(turn.condition), turn.utterance),
    )
    scores = score(
        turns,
        records.read(folder, records.WAITS, Wait),
        records.read(folder, records.SPOKEN, Spoken),
        records.read(folder, records.PLAYED, Played),
        domain=domain,
        endpointing=turntaking.operating_curve(records.read(folder, ENDINGS, turntaking.Ending)),
        behaviour=overlap.behaviour(records.read(folder, OVERLAPS, overlap.Overlap)),
    )
    write_scores(folder, scores)
    return scores


def _plan(
    domain: Domain,
    systems: Sequence[System],
    test_set: TestSet | None,
    options: EvaluationOptions,
    noises: Sequence[Path],
) -> Run:
    """The run as it would be begun now."""
    created = build.now()
    about: dict[str, Any] = test_set.describe() if test_set else {"name": "no recordings", "n": 0, "sha256": ""}
    key = build.digest(
        __version__,
        _domain_digest(domain),
        [(one.name, str(one.options), dict(one.models)) for one in systems],
        about["sha256"],
        list(options.conditions),
        [sha256_of(path) for path in noises],
        [options.repeat, options.text_only, options.latency_s],
    )
    return Run(
        id=build.new_id(created, key),
        domain=domain.name,
        created=created,
        systems={one.name: dict(one.models) for one in systems},
        conditions=tuple(options.conditions),
        test_set=about,
        machine=machine(),
        version=__version__,
        key=key,
    )


def machine() -> str:
    """What the figures of speed are of: "x86_64, 2 cores, Python 3.11.2"."""
    n = os.cpu_count() or 1
    return f"{platform.machine()}, {n} core{'s' * (n != 1)}, Python {platform.python_version()}"


def _domain_digest(domain: Domain) -> str:
    """Of all that is written in the domain's folder, and of what its build folder adds to every system."""
    written = [
        path
        for path in sorted(domain.folder.rglob("*"))
        if path.suffix in _WRITTEN and build.FOLDER not in path.relative_to(domain.folder).parts
    ]
    tuned = domain.folder / build.FOLDER / TUNED
    files = [path for path in (*written, tuned) if path.is_file()]
    return build.digest([(path.relative_to(domain.folder).as_posix(), sha256_of(path)) for path in files])


def _noises(folder: Path | None) -> tuple[Path, ...]:
    if folder is None:
        return ()
    found = tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in SOUNDS))
    if not found:
        raise AudioError(f"{folder}: there are no recordings of noise in it ({', '.join(sorted(SOUNDS))})")
    return found


def _folder(domain: Domain, run: Run, out: Path | None) -> tuple[Path, Run | None]:
    """Where the run goes, and what was begun there before."""
    if out is not None:
        if not (out / records.RUN).is_file():
            if out.exists() and (not out.is_dir() or any(out.iterdir())):
                raise RejoinderError(f"{out}: is not empty, and no run of an evaluation; name another folder")
            return out, None
        before = records.read_run(out)
        if before.key != run.key or before.minutes:
            what = "a finished run" if before.minutes else "the run of another domain, set or system"
            raise RejoinderError(f"{out}: holds {what} already; name another folder, or delete this one")
        return out, before
    place = build.made(domain.folder, FOLDER)
    for path in sorted(place.glob(f"*/{records.RUN}"), reverse=True):
        with suppress(RejoinderError):  # whatever is wrong with it, it is not this run
            before = records.read_run(path.parent)
            if before.key == run.key and not before.minutes:
                return path.parent, before
    return place / run.id, None


def _write(folder: Path, run: Run) -> None:
    """Write `run.json`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f".{records.RUN}"
    scratch.write_text(json.dumps(asdict(run), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    scratch.replace(folder / records.RUN)


def _measure(desk: Desk, run: Run, progress: Progress) -> Run:
    """Do what is not done yet, and append it to the records; the run that comes back has all of its problems."""
    failures: list[str] = []  # what is tried again should this process be killed: not written down before the end
    done = _done(desk, run)
    tasks = [task for task in _tasks(desk) if task not in done]
    together = [task for task in tasks if task.part is not Part.LATENCY]
    alone = [task for task in tasks if task.part is Part.LATENCY]  # a wait is nobody else's work
    counts = _Counts(progress, together)
    for some, n_processes in ((together, desk.options.n_processes or n_cores()), (alone, 1)):
        with closing(spread(desk, some, n_processes=n_processes, progress=progress)) as results:
            for task, result in results:
                if isinstance(result, Failure):
                    failures.append(f"{_name(desk, task)}: {result.message}")
                else:
                    if result.problems:
                        run = _with_problems(run, result.problems)
                        _write(desk.out, run)
                    if result.records:
                        records.append(desk.out, result.file, *result.records)
                counts.count(task)
    return _with_problems(run, failures)


def _with_problems(run: Run, more: Iterable[str]) -> Run:
    """The run with further problems, each once."""
    return replace(run, problems=tuple(dict.fromkeys([*run.problems, *more])))


def _name(desk: Desk, task: Task) -> str:
    """A task in words, for a message."""
    if task.part in (Part.TURNS, Part.ENDPOINTING) and desk.test_set is not None:
        return f"{desk.test_set.names[task.n]} ({task.system}, {task.condition})"
    return f"{task.part} ({task.system})"


class _Counts:
    """Tells how many recordings of each system are done; other parts tell themselves."""

    def __init__(self, progress: Progress, tasks: Sequence[Task]) -> None:
        self._progress = progress
        self._n_total: dict[str, int] = {}
        for task in tasks:
            if label := _label(task):
                self._n_total[label] = self._n_total.get(label, 0) + 1
        self._n_done = dict.fromkeys(self._n_total, 0)

    def count(self, task: Task) -> None:
        if label := _label(task):
            self._n_done[label] += 1
            self._progress(label, self._n_done[label], self._n_total[label], task.condition)


def _label(task: Task) -> str:
    match task.part:
        case Part.TURNS:
            return f"hearing callers ({task.system})"
        case Part.ENDPOINTING:
            return "trying other settings of the endpointer"
    return ""


def _tasks(desk: Desk) -> Iterator[Task]:
    """All there is to do, system by system, since a process has one assistant open; what takes longest comes first."""
    options, n_recordings = desk.options, len(desk.test_set.recordings) if desk.test_set else 0
    parts = options.parts if n_recordings else options.parts - NEED_RECORDINGS
    for n_before, system in enumerate(desk.systems):
        for part in (Part.VOICE, Part.CONVERSATIONS, Part.OVERLAPS):
            if part in parts:
                yield Task(part, system)
        if Part.ENDPOINTING in parts and not n_before:
            yield from (Task(Part.ENDPOINTING, system, options.conditions[0], n) for n in range(n_recordings))
        if Part.TURNS in parts:
            for through in options.conditions:
                yield from (Task(Part.TURNS, system, through, n) for n in range(n_recordings))
        if Part.LATENCY in parts:
            yield from (Task(Part.LATENCY, system, n=n) for n in options.callers)


def _done(desk: Desk, run: Run) -> frozenset[Task]:
    """The tasks whose records are there already."""
    folder = desk.out
    places = {name: n for n, name in enumerate(desk.test_set.names)} if desk.test_set else {}
    found: set[Task] = set()
    for turn in records.read(folder, records.TURNS, Turn):
        found.add(Task(Part.TURNS, turn.system, turn.condition, places.get(turn.utterance, -1)))
    for ending in records.read(folder, ENDINGS, turntaking.Ending):
        first = next(iter(desk.systems))
        found.add(Task(Part.ENDPOINTING, first, run.conditions[0], places.get(ending.utterance, -1)))
    found.update(Task(Part.OVERLAPS, one.system) for one in records.read(folder, OVERLAPS, overlap.Overlap))
    found.update(Task(Part.VOICE, one.system) for one in records.read(folder, records.SPOKEN, Spoken))
    found.update(Task(Part.CONVERSATIONS, one.system) for one in records.read(folder, records.PLAYED, Played))
    found.update(Task(Part.LATENCY, one.system, n=one.n_callers) for one in records.read(folder, records.WAITS, Wait))
    return frozenset(found)
