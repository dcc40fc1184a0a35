"""Time: when a turn was taken to be over, and how long the caller waited for the reply."""

import math
import re
from collections.abc import Sequence

from rejoinder.evaluate.report import figures
from rejoinder.evaluate.report.axes import Axis, fitting
from rejoinder.evaluate.report.charts import Bar, Group, Line, Row, Spot, plot, rows
from rejoinder.evaluate.report.components import Section, estimate, legend, panel, panels, table, tabs
from rejoinder.evaluate.report.figures import axis_milliseconds, count, milliseconds, percent, whole_percent
from rejoinder.evaluate.report.headline import first_latency
from rejoinder.evaluate.report.markup import Html, fragment
from rejoinder.evaluate.report.results import Results
from rejoinder.evaluate.scores import Latency, OperatingPoint

WAITS = {"endpointing": "w0", "first audio": "w1"}
"""What a caller waits for, in its order, with colours."""

N_KINDS = 3
"""Colours for kinds of settings."""

WAITING = "wait"
"""The stage that is no work but waits for the others; it is part of the first audio."""

PERCENTILES = (("p50", "q0", False), ("p95", "q1", False), ("p99", "q2", True))


def turn_taking(results: Results) -> Section | None:
    """How turns were ended, the endpointer's operating curve, and what happens while the assistant speaks."""
    parts = [_operating_curve(results.scores.endpointing), _behaviour(results), _endings(results)]
    if not any(parts):
        return None
    lead = "An assistant that answers at once interrupts; one that never interrupts keeps its callers waiting."
    return Section("turns", "Turn taking", lead, panels(*parts))


def _operating_curve(points: Sequence[OperatingPoint]) -> Html | None:
    """A line for each kind of setting ("fixed 0.3 s", "fixed 0.4 s" …), dashed for the slowest turns."""
    if not points:
        return None
    kinds: dict[str, list[OperatingPoint]] = {}
    for point in points:
        kinds.setdefault(re.split(r"\s*[-+]?\d", point.setting)[0] or "delay", []).append(point)
    lines = []
    for n, among in enumerate(kinds.values()):
        colour = f"q{n % N_KINDS}"
        medians = [
            Spot(1000 * one.delay_p50_s, one.cut_off, _point(one), one.setting, is_marked=one.is_default)
            for one in among
        ]
        slowest = [Spot(1000 * one.delay_p95_s, one.cut_off, _point(one), size=2.5) for one in among]
        lines += [Line(slowest, f"{colour} faded", is_dashed=True), Line(medians, colour)]
    delays = [1000 * delay for point in points for delay in (point.delay_p50_s, point.delay_p95_s)]
    x = Axis.from_zero(delays, "Delay after the last word →", axis_milliseconds, least=100)
    y = Axis.from_zero([point.cut_off for point in points], "↑ Callers cut off", _short_percent, least=0.02)
    key = legend((f"{kind}, p50" if kind != "delay" else "p50", f"q{n % N_KINDS}", 0) for n, kind in enumerate(kinds))
    chart = fitting(plot, lines, x, y, label="Operating curve of the endpointer")
    about = "what each setting would do on the same recordings; dashed: p95 of the delay; in the ring: the one in use"
    return panel("Endpointing", fragment(key, chart), about=about)


def _point(one: OperatingPoint) -> str:
    delays = f"{milliseconds(1000 * one.delay_p50_s)}, p95 {milliseconds(1000 * one.delay_p95_s)}"
    return f"{one.setting}{' (in use)' if one.is_default else ''}: {percent(one.cut_off)} cut off, delay {delays}"


def _short_percent(value: float) -> str:
    return f"{100 * value:.3g}%"


def _behaviour(results: Results) -> Html | None:
    lines = [
        [
            system,
            f"{milliseconds(one.stop_p50_ms)} / {milliseconds(one.stop_p95_ms)}",
            f"{one.n_missed} of {one.n_interruptions}",
            f"{one.n_wrongly_stopped} of {one.n_backchannels}",
        ]
        for system in results.systems
        if (one := results.scores.behaviour.get(system))
    ]
    if not lines:
        return None
    columns = ["System", "Stops after p50 / p95", "Interruptions missed", "Stopped by “mhm”"]
    about = "callers who interrupt the reply, and callers who only say that they listen"
    return panel("While the assistant speaks", table(columns, lines, caption=about), about=about)


def _endings(results: Results) -> Html | None:
    lines = []
    for condition in results.conditions:
        for system in results.systems:
            heard = figures.heard_in(results.scores, system, condition)
            if heard:
                ends = heard.turn_taking
                unanswered = f"{ends.n_unanswered:,}" if ends.n_unanswered else "none"
                delays = [milliseconds(1000 * ends.delay_p50_s), milliseconds(1000 * ends.delay_p95_s)]
                lines.append(
                    [results.place(condition, system), f"{heard.n:,}", estimate(ends.cut_off), *delays, unanswered]
                )
    if not lines:
        return None
    columns = ["", "Recordings", "Cut off", "Delay p50", "Delay p95", "Unanswered"]
    about = "delay: from the last speech to the decision that the turn is over, where it was not cut off"
    return panel("Ends of turns", table(columns, lines, caption=about), about=about, is_wide=True)


def latency(results: Results) -> Section | None:
    """What callers wait for, and how that grows with their number."""
    systems = [system for system in results.systems if results.scores.latency.get(system)]
    if not systems:
        return None
    lead = "From the last sample of the caller's speech to the first sample of the reply, at real-time pace."
    return Section(
        *("latency", "Latency", lead),
        panels(_waterfall(results, systems), _percentiles(results, systems), _by_callers(results, systems)),
    )


def _waterfall(results: Results, systems: Sequence[str]) -> Html:
    """The medians of what a caller waits for, one after the other, and the work behind it."""
    found = [(system, one) for system in systems if (one := first_latency(results, system))]
    groups = [Group(f"{system}, {count(one.n_callers, 'caller')}", _waits(one) + _work(one)) for system, one in found]
    ends = [mark.end for group in groups for row in group.rows for mark in row.marks if isinstance(mark, Bar)]
    axis = Axis.from_zero(ends, "Since the last sample of speech →", axis_milliseconds, least=10)
    names = legend([*((name, colour, None) for name, colour in WAITS.items()), ("work", "w2", None)])
    chart = fitting(rows, groups, axis, label="Where the time goes")
    about = "medians; the work on a turn is mostly done before it ends, while the caller still speaks"
    return panel("Where the time goes", fragment(names, chart), about=about)


def _waits(one: Latency) -> list[Row]:
    rows_, start = [], 0.0
    for name, took in (("endpointing", one.endpointing_p50_ms), ("first audio", one.first_audio_p50_ms)):
        tip = f"{name}: {milliseconds(took)}"
        rows_.append(Row(name, [Bar(start, start + took, WAITS[name], tip)], milliseconds(took)))
        start += took
    return rows_


def _work(one: Latency) -> list[Row]:
    return [
        Row(f"work: {stage}", [Bar(0.0, took, "w2", f"{stage}: {milliseconds(took)} of work")], milliseconds(took))
        for stage, took in one.stages_ms.items()
        if stage not in (*WAITS, WAITING)
    ]


def _percentiles(results: Results, systems: Sequence[str]) -> Html:
    """Percentiles against the number of callers."""
    views = {}
    for system in sorted(systems, key=lambda system: system != results.main):
        found = sorted(results.scores.latency[system], key=lambda one: one.n_callers)
        if len(found) < 2:
            continue
        lines = [
            Line(
                [
                    Spot(
                        one.n_callers, took, f"{name} {milliseconds(took)}, {count(one.n_callers, 'caller')}, n={one.n}"
                    )
                    for one in found
                    for took in (getattr(one, f"{name}_ms"),)
                ],
                colour,
                is_dashed=dashed,
            )
            for name, colour, dashed in PERCENTILES
        ]
        callers = [float(one.n_callers) for one in found]
        x = Axis(min(callers), max(callers), "Callers at once →", "{:.0f}".format, callers, math.log2)
        y = Axis.from_zero([one.p99_ms for one in found], "↑ Wait", axis_milliseconds, least=100)
        views[system] = fitting(plot, lines, x, y, label=f"Percentiles of the wait by callers, {system}")
    if not views:
        return Html()
    key = legend((name, colour, 0) for name, colour, _ in PERCENTILES)
    about = "how long callers wait when there are more of them"
    return panel("Percentiles by callers", fragment(key, tabs("percentiles", "System", views)), about=about)


def _by_callers(results: Results, systems: Sequence[str]) -> Html:
    lines = [
        [
            results.place(count(one.n_callers, "caller"), system),
            f"{one.n:,}",
            *(milliseconds(took) for took in (one.p50_ms, one.p95_ms, one.p99_ms, one.first_audio_p95_ms)),
            whole_percent(one.draft_hits),
            percent(one.cut_off),
            f"{one.n_lost:,}" if one.n_lost else "none",
        ]
        for system in systems
        for one in results.scores.latency[system]
    ]
    columns = ["", "Turns", "p50", "p95", "p99", "First audio p95", "Drafts used", "Cut off", "Lost"]
    about = "drafts used: replies that were ready when the turn ended"
    return panel("All waits", table(columns, lines, caption="Waits by callers"), about=about, is_wide=True)
