"""Intents, slots and confidence: what callers want, and how far the understanding can be trusted."""

from collections.abc import Sequence

from rejoinder.evaluate.report import figures
from rejoinder.evaluate.report.axes import Axis, fitting
from rejoinder.evaluate.report.charts import Line, Spot, heatmap, plot
from rejoinder.evaluate.report.components import Section, estimate, legend, panel, panels, table, tabs
from rejoinder.evaluate.report.figures import percent
from rejoinder.evaluate.report.markup import Html, fragment, tag, text
from rejoinder.evaluate.report.results import Results
from rejoinder.evaluate.scores import Meanings, SlotScore, Understanding

N_INTENTS = 16
"""Rows of a confusion matrix; where there are more intents, those that were confused most are shown."""


def meaning(results: Results) -> Section | None:
    """Every panel about understanding."""
    if not any(_scored(results, system) for system in results.systems):
        return None
    lead = "What callers want, as it was understood from the words that were heard."
    body = panels(_confusion(results), _slots(results), _calibration(results), _out_of_scope(results), _texts(results))
    return Section("understanding", "Understanding", lead, body)


def _scored(results: Results, system: str) -> dict[str, Understanding]:
    """By condition."""
    found = ((condition, figures.heard_in(results.scores, system, condition)) for condition in results.conditions)
    return {condition: heard.understanding for condition, heard in found if heard and heard.understanding}


def _by_condition(results: Results) -> dict[str, dict[str, Understanding]]:
    """By condition and system."""
    scored = {system: _scored(results, system) for system in results.systems}
    return {
        condition: {system: by[condition] for system, by in scored.items() if condition in by}
        for condition in results.conditions
    }


def _confusion(results: Results) -> Html | None:
    """A matrix for each system, over all conditions, and the pairs that were confused most."""
    views = {}
    for system in _main_first(results):
        counts = summed([one.heard for one in _scored(results, system).values()])
        if not counts:
            continue
        wrong = sorted(((n, pair) for pair, n in counts.items() if pair[0] != pair[1] and n), reverse=True)
        names = _shown(counts)
        matrix = [[counts.get((meant, taken), 0) for taken in names] for meant in names]
        chart = fitting(heatmap, names, matrix, label=f"Intents meant and understood, {system}")
        lines = [[meant, taken, f"{n:,}"] for n, (meant, taken) in wrong[:8]]
        pairs = (
            table(["Meant", "Understood", "Turns"], lines, caption=f"Intents confused, {system}", n_words=2)
            if lines
            else tag("p", "Every intent was understood as it was meant.", class_="happy")
        )
        views[system] = tag("div", chart, pairs, class_="beside")
    if not views:
        return None
    about = "rows: what was meant; columns: what was understood; all conditions together"
    return panel("Intents", tabs("intents", "System", views), about=about, is_wide=True)


def _main_first(results: Results) -> list[str]:
    """The systems, the one that callers would meet first."""
    return sorted(results.systems, key=lambda system: system != results.main)


def summed(parts: Sequence[Meanings]) -> dict[tuple[str, str], int]:
    """Turns by what was meant and what was understood."""
    counts: dict[tuple[str, str], int] = {}
    for part in parts:
        for meant, line in zip(part.intents, part.confusion, strict=True):
            for taken, n in zip(part.intents, line, strict=True):
                counts[meant, taken] = counts.get((meant, taken), 0) + n
    return counts


def _shown(counts: dict[tuple[str, str], int]) -> list[str]:
    """The intents of a matrix in their order; of many, those that were confused most often."""
    wrong: dict[str, int] = {}
    used: dict[str, int] = {}
    for (meant, taken), n in counts.items():
        for name in (meant, taken):
            wrong[name] = wrong.get(name, 0) + n * (meant != taken)
            used[name] = used.get(name, 0) + n
    names = [name for name in used if used[name]]
    kept = set(sorted(names, key=lambda name: (-wrong[name], -used[name]))[:N_INTENTS])
    return [name for name in names if name in kept]


def _slots(results: Results) -> Html | None:
    """F1 of each slot by condition, worst first; precision and recall are tooltips."""
    views = {}
    for system in _main_first(results):
        scored = {condition: one.heard.slots for condition, one in _scored(results, system).items()}
        names = dict.fromkeys(name for slots in scored.values() for name in slots)
        lines = [
            [
                name,
                f"{max(slots[name].n for slots in scored.values() if name in slots):,}",
                *(_slot(slots.get(name)) for slots in scored.values()),
            ]
            for name in sorted(
                names, key=lambda name: sum(slots[name].f1 for slots in scored.values() if name in slots)
            )
        ]
        if lines:
            views[system] = table(["Slot", "Turns", *scored], lines, caption=f"F1 of slots, {system}")
    if not views:
        return None
    return panel("Slots", tabs("slots", "System", views), about="F1 by exact value")


def _slot(score: SlotScore | None) -> Html:
    if score is None:
        return text(figures.NOTHING)
    tip = f"precision {percent(score.precision)}, recall {percent(score.recall)}, n={score.n}"
    return tag("span", percent(score.f1), title=tip, class_=None if score.f1 < 1 else "faint")


def _calibration(results: Results) -> Html | None:
    """Reliability diagrams: with a confidence of 80%, are 80% right?"""
    views = {}
    for condition, by_system in _by_condition(results).items():
        lines = [
            Line(
                [
                    Spot(
                        *(one.confidence, one.accuracy),
                        f"{system}: confidence {percent(one.confidence)}, right {percent(one.accuracy)}, n={one.n}",
                        size=2.5 + 4 * (one.n / max(bin_.n for bin_ in scored.calibration)) ** 0.5,
                    )
                    for one in scored.calibration
                    if one.n
                ],
                results.marks[system].colour,
                results.marks[system].shape,
            )
            for system, scored in by_system.items()
        ]
        if any(line.spots for line in lines):
            errors = {system: f"{system} · error {percent(one.calibration_error)}" for system, one in by_system.items()}
            views[condition] = _square(results, lines, errors, "Confidence", "↑ Right", f"Calibration in {condition}")
    if not views:
        return None
    about = "on the dashed line, confidence is what it promises; above it is too modest, below it too sure"
    return panel("Calibration", tabs("calibration", "Condition", views), about=about)


def _out_of_scope(results: Results) -> Html | None:
    """ROC curves of the detection of what no intent covers."""
    views = {}
    for condition, by_system in _by_condition(results).items():
        with_curve = {
            system: one for system, one in by_system.items() if one.out_of_scope_auroc is not None and one.roc
        }
        lines = [
            Line([Spot(false, found, "") for false, found in one.roc], results.marks[system].colour, has_dots=False)
            for system, one in with_curve.items()
        ]
        if lines:
            areas = {system: f"{system} · AUROC {one.out_of_scope_auroc:.3f}" for system, one in with_curve.items()}
            title = f"Out of scope in {condition}"
            views[condition] = _square(results, lines, areas, "False alarms", "↑ Detected", title)
    if not views:
        return None
    about = "how well what no intent covers is told apart; the dashed line is guessing"
    return panel("Out of scope", tabs("scope", "Condition", views), about=about)


def _square(results: Results, lines: Sequence[Line], names: dict[str, str], x: str, y: str, label: str) -> Html:
    axis = Axis(0.0, 1.0, f"{x} →", figures.whole_percent)
    up = Axis(0.0, 1.0, y, figures.whole_percent)
    chart = fitting(plot, lines, axis, up, True, label=label)
    key = legend((name, results.marks[system].colour, results.marks[system].shape) for system, name in names.items())
    return fragment(key, chart)


def _texts(results: Results) -> Html | None:
    """The same understanding on the words that were said and on those that were heard."""
    lines = [
        [
            results.place(condition, system),
            estimate(one.reference.accuracy),
            estimate(one.heard.accuracy),
            estimate(one.reference.slot_f1),
            estimate(one.heard.slot_f1),
            _loss(one),
        ]
        for condition, by_system in _by_condition(results).items()
        for system, one in by_system.items()
        if one.reference
    ]
    if not lines:
        return None
    columns = ["", "Intents, said", "Intents, heard", "Slots, said", "Slots, heard", "Lost by hearing"]
    about = "the same understanding on the transcript and on what was recognized: the difference is the recognizer's"
    return panel("On words said and words heard", table(columns, lines, caption=about), about=about, is_wide=True)


def _loss(one: Understanding) -> str:
    if one.reference is None:
        return figures.NOTHING
    return figures.points(one.heard.understood.value - one.reference.understood.value) + " pts"
