"""What was understood and heard in each condition, and where turns were lost."""

from collections.abc import Iterator, Sequence

from rejoinder.evaluate.records import Stage
from rejoinder.evaluate.report import figures
from rejoinder.evaluate.report.axes import Axis, fitting
from rejoinder.evaluate.report.charts import Bar, Group, Row, rows
from rejoinder.evaluate.report.components import (
    Section,
    between,
    change,
    estimate,
    estimates,
    folded,
    legend,
    panel,
    panels,
    swatch,
    table,
    tabs,
)
from rejoinder.evaluate.report.figures import UNDERSTOOD, WER, Measure, percent
from rejoinder.evaluate.report.markup import Child, Html, fragment, tag
from rejoinder.evaluate.report.results import Results
from rejoinder.evaluate.scores import Recognition

N_TERMS = 15
"""Terms in a table before the rest is folded."""

STAGES = {
    Stage.TURNS: ("l0", "The session cut the caller off, missed the turn, or heard another one."),
    Stage.RECOGNITION: ("l1", "The words that were said are understood; those that were heard are not."),
    Stage.UNDERSTANDING: ("l2", "The words that were said are not understood either."),
    Stage.DIALOGUE: ("l3", "All was understood, and what was said or done is wrong."),
    Stage.UNKNOWN: ("l4", "Recognition or understanding: there is no transcript, and it was never understood."),
}
"""The colour of each stage, and what it means that a turn was lost there."""


def understood(results: Results) -> Section | None:
    """Intent and every slot right, by condition and system."""
    chart = by_condition(results, UNDERSTOOD)
    if chart is None:
        return None
    lead = "Turns of which the intent and every slot are right, with 95% intervals."
    return Section("understood", "Understood", lead, panels(chart, lost(results)))


def recognition(results: Results) -> Section | None:
    """Words and terms, where the set has words."""
    chart = by_condition(results, WER)
    if chart is None:
        return None
    lead = "Words as the live session heard them, against the transcripts of the set."
    return Section("recognition", "Recognition", lead, panels(chart, _terms(results), _confusions(results)))


def by_condition(results: Results, measure: Measure) -> Html | None:
    """Dots with intervals for every condition and system, and the figures as a table."""
    found = {
        condition: {
            system: one
            for system in results.systems
            if (heard := figures.heard_in(results.scores, system, condition)) and (one := measure.of(heard))
        }
        for condition in results.conditions
    }
    title = f"{measure.title} by condition"
    chart = estimates(found, results.marks, label=title, higher_is_better=measure.higher_is_better)
    return panel(title, fragment(chart, _as_table(results, measure)), about=measure.about) if chart else None


def _as_table(results: Results, measure: Measure) -> Html:
    lines = []
    for condition in results.conditions:
        cells: list[Child] = [condition]
        for system in results.systems:
            heard = figures.heard_in(results.scores, system, condition)
            found = results.change(measure.key, condition, system)
            shift = (
                fragment(" ", change(measure, found.value, found), " ", tag("small", between(found))) if found else None
            )
            cells.append(tag("span", estimate(measure.of(heard) if heard else None), shift))
        lines.append(cells)
    return folded("As a table", table(["Condition", *results.systems], lines, caption=f"{measure.title} by condition"))


def lost(results: Results) -> Html | None:
    """Stacked bars: the share of the turns that each stage lost."""
    stages = [
        stage
        for stage in Stage
        if any(heard.lost.get(stage.value) for by in results.scores.heard.values() for heard in by.values())
    ]
    groups = [
        Group(condition, list(_lost_rows(results, condition, stages)))
        for condition in results.conditions
        if any(figures.heard_in(results.scores, system, condition) for system in results.systems)
    ]
    if not stages:
        return None
    ends = [mark.end for group in groups for row in group.rows for mark in row.marks if isinstance(mark, Bar)]
    axis = Axis.from_zero(ends, "of the turns", figures.whole_percent, least=0.05)
    chart = fitting(rows, groups, axis, label="Where turns were lost")
    key = legend((stage.value, STAGES[stage][0], None) for stage in stages)
    about = "the first stage without whose error the turn would have been understood"
    return panel("Where turns were lost", fragment(key, chart), about=about)


def _lost_rows(results: Results, condition: str, stages: Sequence[Stage]) -> Iterator[Row]:
    for system in results.systems:
        heard = figures.heard_in(results.scores, system, condition)
        if heard is None:
            continue
        bars, start = [], 0.0
        for stage in stages:
            n = heard.lost.get(stage.value, 0)
            if n:
                tip = f"{system}, {condition}: {figures.count(n, 'turn')} of {heard.n} lost by {stage.value}"
                bars.append(Bar(start, start + n / heard.n, STAGES[stage][0], tip))
                start += n / heard.n
        yield Row(system, bars, percent(start) if start else "none")


def _recognitions(results: Results, system: str) -> Iterator[Recognition]:
    for condition in results.conditions:
        heard = figures.heard_in(results.scores, system, condition)
        if heard and heard.recognition:
            yield heard.recognition


def _terms(results: Results) -> Html | None:
    """Terms that went wrong, over all conditions, by system."""
    views = {}
    for system in reversed(results.systems):
        counts: dict[str, list[int]] = {}
        for one in _recognitions(results, system):
            for term in one.terms:
                said, heard, false = counts.setdefault(term.term, [0, 0, 0])
                counts[term.term] = [said + term.n_said, heard + term.n_heard, false + term.n_false]
        wrong = sorted(counts.items(), key=lambda item: item[1][1] - item[1][0] - item[1][2])
        lines = [
            [
                term,
                f"{said:,}",
                f"{heard:,}",
                percent(heard / said) if said else figures.NOTHING,
                f"{false:,}" if false else "",
            ]
            for term, (said, heard, false) in wrong
            if heard < said or false
        ]
        if lines:
            views[system] = _long_table(["Term", "Said", "Heard", "Recall", "Made up"], lines, f"Terms, {system}")
        elif counts:
            views[system] = tag("p", f"All {len(counts)} terms were heard every time.", class_="happy")
    if not views:
        return None
    return panel("Terms", tabs("terms", "System", views), about="the domain's terms in all conditions, worst first")


def _long_table(columns: Sequence[str], lines: Sequence[Sequence[Child]], caption: str, n_words: int = 1) -> Html:
    first = table(columns, lines[:N_TERMS], caption=caption, n_words=n_words)
    if len(lines) <= N_TERMS:
        return first
    rest = table(columns, lines[N_TERMS:], caption=f"{caption}, the rest", n_words=n_words)
    return fragment(first, folded(f"{len(lines) - N_TERMS} more", rest))


def _confusions(results: Results) -> Html | None:
    """What was heard in the place of terms."""
    views = {}
    for system in reversed(results.systems):
        counts: dict[tuple[str, str], int] = {}
        for one in _recognitions(results, system):
            for said, heard, n in one.confusions:
                counts[said, heard] = counts.get((said, heard), 0) + n
        ordered = sorted(counts.items(), key=lambda item: -item[1])
        lines = [[said, tag("bdi", heard) if heard else tag("i", "nothing"), f"{n:,}"] for (said, heard), n in ordered]
        if lines:
            views[system] = _long_table(["Said", "Heard instead", "Times"], lines, f"Confusions, {system}", n_words=2)
    if not views:
        return None
    about = "what was heard in the place of a term"
    return panel("Taken for something else", tabs("confusions", "System", views), about=about)


def stage_badge(stage: Stage) -> Html:
    """A stage's name and colour."""
    colour, about = STAGES[stage]
    return tag("span", swatch(colour), stage.value, class_="badge", title=about)
