"""Runs side by side: the same systems, before and after, on the recordings that both heard."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

from rejoinder.errors import RejoinderError
from rejoinder.evaluate.records import Run, Turn
from rejoinder.evaluate.report import figures
from rejoinder.evaluate.report.components import Section, between, change, estimate, panel, panels, table
from rejoinder.evaluate.report.figures import UNDERSTOOD, WER, count, milliseconds
from rejoinder.evaluate.report.headline import first_latency, headline
from rejoinder.evaluate.report.hearing import recognition, understood
from rejoinder.evaluate.report.markup import Html, fragment, tag
from rejoinder.evaluate.report.meaning import meaning
from rejoinder.evaluate.report.page import day, page
from rejoinder.evaluate.report.results import Results
from rejoinder.evaluate.report.sound import Sounds
from rejoinder.evaluate.report.timing import latency, turn_taking
from rejoinder.evaluate.report.turns import card, grouped, is_failed
from rejoinder.evaluate.scores import Difference, Scores
from rejoinder.evaluate.significance import difference
from rejoinder.evaluate.words import Pair

T = TypeVar("T")

N_CARDS = 60
"""Turns on either list of what changed."""


def write_comparison(folders: Sequence[Path], out: Path) -> Path:
    """Write a page that compares the runs in `folders`, the first with each of the others; return its path.

    Systems are compared with those of the same name or, where runs share none, the ones that callers would meet.
    Raises `RejoinderError` for fewer than two runs, or one that cannot be read.
    """
    if len(folders) < 2:
        raise RejoinderError("a comparison takes at least two runs; name their folders")
    runs = [Results.load(folder) for folder in folders]
    merged = side_by_side(runs, out.parent)
    sounds = Sounds(out.parent, list(folders))
    found = [
        headline(merged),
        _differences(merged),
        *_changed(merged, sounds),
        understood(merged),
        recognition(merged),
        meaning(merged),
        turn_taking(merged),
        latency(merged),
        _runs(runs),
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    domains = " and ".join(dict.fromkeys(one.run.domain for one in runs))
    out.write_text(
        page(domains, [" against ".join(reversed(_names(runs)))], [one for one in found if one]), encoding="utf-8"
    )
    return out


def _names(runs: Sequence[Results]) -> list[str]:
    """What tells runs apart: their ids, or else their folders."""
    for names in ([one.run.id for one in runs], [one.folder.name for one in runs]):
        if len(set(names)) == len(names):
            return names
    return [str(one.folder) for one in runs]


def _labels(n_runs: int) -> list[str]:
    """Short names, for the labels of charts."""
    return ["before", "after"] if n_runs == 2 else [f"run {n + 1}" for n in range(n_runs)]


def side_by_side(runs: Sequence[Results], folder: Path) -> Results:
    """All runs as one, systems named "deep (before)", "deep (after)"; recordings are relative to `folder`."""
    shared = [name for name in runs[0].systems if all(name in one.systems for one in runs)]
    kept = [shared or [one.main or ""] for one in runs]
    names = [
        {system: f"{system} ({when})" for system in systems}
        for systems, when in zip(kept, _labels(len(runs)), strict=True)
    ]
    before = list(names[0].values())
    against = {new: old for later in names[1:] for old, new in zip(before, later.values(), strict=True)}
    turns = [_turns(one, known, folder) for one, known in zip(runs, names, strict=True)]
    found = [turn for among in turns for turn in among]
    # In the order of systems, those to be compared beside each other.
    systems = {
        known[system]: one.run.systems.get(system, {})
        for pair in zip(*kept, strict=True)
        for one, known, system in zip(runs, names, pair, strict=True)
    }
    conditions = tuple(dict.fromkeys(condition for one in runs for condition in one.conditions))
    last = runs[-1]
    main = last.main if last.main in names[-1] else kept[-1][-1]
    first = runs[0].run
    run = Run(
        first.id, first.domain, first.created, systems, conditions, first.test_set, first.machine, first.version, ""
    )

    def renamed(part: Callable[[Scores], Mapping[str, T]]) -> dict[str, T]:
        both = {
            known[system]: value
            for one, known in zip(runs, names, strict=True)
            for system, value in part(one.scores).items()
            if system in known
        }
        return {system: both[system] for system in systems if system in both}

    scores = Scores(
        heard=renamed(lambda scores: scores.heard),
        differences=tuple(_compared(found, against, conditions)),
        latency=renamed(lambda scores: scores.latency),
        voice=renamed(lambda scores: scores.voice),
        conversations=renamed(lambda scores: scores.conversations),
        behaviour=renamed(lambda scores: scores.behaviour),
    )
    return Results(folder, run, scores, tuple(found), (), (), main=names[-1][main], against=against)


def _turns(one: Results, names: Mapping[str, str], folder: Path) -> Iterator[Turn]:
    """The turns of one run under the new names of its systems."""
    way = Path(os.path.relpath(one.folder.resolve(), folder.resolve()))
    for turn in one.turns:
        if turn.system in names:
            audio = (way / turn.audio).as_posix() if turn.audio else None
            yield replace(turn, system=names[turn.system], audio=audio)


def _compared(turns: Sequence[Turn], against: Mapping[str, str], conditions: Sequence[str]) -> Iterator[Difference]:
    """Paired, on the recordings that both systems heard in a condition."""
    known = {turn.key: turn for turn in turns}
    for measure, counted in ((UNDERSTOOD, _understood), (WER, _word_errors)):
        for system, other in against.items():
            for condition in conditions:
                pairs = [
                    (after, before)
                    for turn in known.values()
                    if (turn.system, turn.condition) == (system, condition)
                    and (earlier := known.get((other, condition, turn.utterance)))
                    and (after := counted(turn))
                    and (before := counted(earlier))
                ]
                if pairs:
                    found = difference(
                        _columns([after for after, _ in pairs]), _columns([before for _, before in pairs])
                    )
                    yield Difference(measure.key, condition, system, other, **asdict(found))


def _columns(counts: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """What is counted and what it is out of, an utterance each."""
    return [part for part, _ in counts], [whole for _, whole in counts]


def _understood(turn: Turn) -> tuple[int, int] | None:
    return None if turn.is_understood is None else (int(turn.is_understood), 1)


def _word_errors(turn: Turn) -> tuple[int, int] | None:
    return None if turn.said is None else Pair.of(turn.said, turn.heard).word_errors


def _differences(merged: Results) -> Section | None:
    """Every measure that was tested, by system and condition."""
    measures = {measure.key: measure for measure in (UNDERSTOOD, WER)}
    lines = []
    for one in merged.scores.differences:
        measure = measures[one.measure]
        heard = [figures.heard_in(merged.scores, name, one.condition) for name in (one.against, one.system)]
        values = [estimate(measure.of(each) if each else None) for each in heard]
        shift = fragment(change(measure, one.value, one), " ", tag("small", between(one)))
        what = f"{measure.title}, {one.condition}"
        lines.append([what, one.system, *values, shift, figures.chance(one.p)])
    if not lines:
        return None
    columns = ["", "System", "Before", "After", "Change", "By chance"]
    lead = "On the recordings that both runs heard, paired; what is beyond chance stands on a coloured ground."
    body = panels(panel("Changes", table(columns, lines, caption="Changes", n_words=2), is_wide=True), _waits(merged))
    return Section("changes", "Changes", lead, body)


def _waits(merged: Results) -> Html | None:
    lines = []
    for system, other in merged.against.items():
        before, after = first_latency(merged, other), first_latency(merged, system)
        if before and after and before.n_callers == after.n_callers:
            pairs = [(before.p50_ms, after.p50_ms), (before.p95_ms, after.p95_ms)]
            cells = [f"{milliseconds(old)} → {milliseconds(new)}" for old, new in pairs]
            lines.append([system, str(after.n_callers), *cells])
    if not lines:
        return None
    columns = ["System", "Callers", "p50", "p95"]
    return panel("Reply begins after", table(columns, lines, caption="Waits before and after"), is_wide=True)


def _changed(merged: Results, sounds: Sounds) -> Iterator[Section]:
    """Recordings that one run understood and another did not."""
    lost: list[list[Turn]] = []
    won: list[list[Turn]] = []
    for turns in grouped(merged.turns, merged.conditions):
        by_system = {turn.system: turn for turn in turns}
        for system, other in merged.against.items():
            pair = [by_system[name] for name in (other, system) if name in by_system]
            if len(pair) == 2 and is_failed(pair[0]) != is_failed(pair[1]):
                (lost if is_failed(pair[1]) else won).append(pair)
    for id_, title, pairs in (("lost", "Newly lost", lost), ("won", "Newly understood", won)):
        if pairs:
            cards = [card(pair, merged.marks, sounds) for pair in pairs[:N_CARDS]]
            more = f"; the first {N_CARDS} of them" if len(pairs) > N_CARDS else ""
            now = "wrong" if pairs is lost else "right"
            lead = f"{count(len(pairs), 'turn')} that went {now} only after the change{more}."
            yield Section(id_, title, lead, tag("div", cards, class_="turns"), len(pairs))


def _runs(runs: Sequence[Results]) -> Section:
    names = _labels(len(runs))
    rows = {
        "Run": _names(runs),
        "Began": [day(one.run.created) for one in runs],
        "Systems": [", ".join(one.run.systems) for one in runs],
        "Set": [", ".join(f"{name} {value}" for name, value in one.run.test_set.items()) for one in runs],
        "Machine": [one.run.machine for one in runs],
        "Version": [one.run.version for one in runs],
    }
    lines = [[what, *values] for what, values in rows.items()]
    body = panel("Runs", table(["", *names], lines, caption="Runs", n_words=1 + len(names)), is_wide=True)
    return Section("runs", "The runs", "", panels(body))
