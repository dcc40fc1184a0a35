"""Pieces that every section is built of: panels, tables, tabs, legends, and a change that says whether it is good."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rejoinder.evaluate.report import figures
from rejoinder.evaluate.report.axes import Axis, fitting
from rejoinder.evaluate.report.charts import Dot, Group, Row, rows
from rejoinder.evaluate.report.figures import Measure
from rejoinder.evaluate.report.markup import Child, Html, fragment, tag
from rejoinder.evaluate.report.results import Mark
from rejoinder.evaluate.scores import Difference, Estimate


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report that the page's contents lead to."""

    id: str
    title: str
    lead: str
    """What it shows, in a sentence."""
    body: Html
    n: int | None = None
    """Beside the title in the contents."""


def panel(title: str, body: Html, *, about: str = "", is_wide: bool = False) -> Html:
    """A chart or a table in its frame."""
    return tag(
        "figure",
        tag("figcaption", tag("h3", title), tag("p", about) if about else None),
        body,
        class_="panel wide" if is_wide else "panel",
    )


def panels(*children: Html | None) -> Html:
    """Panels side by side where there is room."""
    return tag("div", [child for child in children if child], class_="panels")


def table(columns: Sequence[str], lines: Iterable[Sequence[Child]], *, caption: str, n_words: int = 1) -> Html:
    """A table of figures; the first `n_words` columns are words, the others stand to the right."""
    kinds = ["words" if n < n_words else "number" for n in range(len(columns))]
    head = [tag("th", column, scope="col", class_=kind) for column, kind in zip(columns, kinds, strict=True)]
    body = [
        tag(
            "tr",
            tag("th", line[0], scope="row", class_="words"),
            [tag("td", cell, class_=kind) for cell, kind in zip(line[1:], kinds[1:], strict=True)],
        )
        for line in lines
    ]
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption, class_="unseen"),
            tag("thead", tag("tr", head)),
            tag("tbody", body),
        ),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=caption,
    )


def folded(title: str, body: Html) -> Html:
    """Something to be opened."""
    return tag("details", tag("summary", title), body, class_="folded")


def tabs(name: str, label: str, views: Mapping[str, Html]) -> Html:
    """One of several views at a time; all of them without a script and in print. A single one needs no tabs."""
    if len(views) < 2:
        return fragment(*views.values())
    buttons = [
        tag(
            "button",
            title,
            type="button",
            role="tab",
            id=f"{name}-tab-{n}",
            aria_controls=f"{name}-view-{n}",
            aria_selected="true" if n == 0 else "false",
            tabindex=0 if n == 0 else -1,
        )
        for n, title in enumerate(views)
    ]
    shown = [
        tag(
            "div",
            tag("p", title, class_="view"),
            body,
            role="tabpanel",
            id=f"{name}-view-{n}",
            aria_labelledby=f"{name}-tab-{n}",
        )
        for n, (title, body) in enumerate(views.items())
    ]
    return tag("div", tag("div", buttons, role="tablist", aria_label=label), shown, class_="tabs")


def legend(marks: Iterable[tuple[str, str, int | None]]) -> Html:
    """Names with their colours and, for systems, their shapes."""
    return tag("ul", [tag("li", swatch(colour, shape), name) for name, colour, shape in marks], class_="legend")


def swatch(colour: str, shape: int | None = None) -> Html:
    """A small sign of a colour."""
    kind = "block" if shape is None else ("round", "square", "diamond", "triangle")[shape % 4]
    return tag("span", class_=f"swatch {kind} {colour}", aria_hidden="true")


def estimate(one: Estimate | None) -> Html:
    """A share and its interval."""
    if one is None:
        return tag("span", figures.NOTHING, class_="faint")
    return fragment(figures.percent(one.value), " ", tag("small", figures.interval(one.low, one.high)))


def estimates(
    groups: Mapping[str, Mapping[str, Estimate]], marks: Mapping[str, Mark], *, label: str, higher_is_better: bool
) -> Html | None:
    """Shares as dots with their intervals, by group and system; None where there are none.

    Errors are drawn from zero; other shares end at 100%, and begin at a round figure where all are high.
    """
    drawn = [
        Group(name, [_row(system, name, one, marks[system]) for system, one in by_system.items()])
        for name, by_system in groups.items()
        if by_system
    ]
    if not drawn:
        return None
    every = [one for by_system in groups.values() for one in by_system.values()]
    if higher_is_better:
        lowest = min(one.low for one in every)
        axis = Axis(0.0 if lowest < 0.5 else int(lowest * 10) / 10, 1.0, show=figures.whole_percent)
    else:
        axis = Axis.from_zero([one.high for one in every], show=figures.whole_percent, least=0.05)
    return fitting(rows, drawn, axis, label=label)


def _row(system: str, group: str, one: Estimate, mark: Mark) -> Row:
    tip = f"{system}, {group}: {figures.percent(one.value)} ({figures.interval(one.low, one.high)}, n={one.n})"
    return Row(system, [Dot(one.value, one.low, one.high, mark.colour, mark.shape, tip)], figures.percent(one.value))


def change(measure: Measure, value: float, found: Difference | None = None) -> Html:
    """A change of a share, good or bad by colour, arrow and words; without a ground where it may be chance."""
    better = measure.is_better(round(value, 4))
    is_sure = found is not None and figures.is_sure(found)
    kind = "same" if better is None else "better" if better else "worse"
    said = {"same": "unchanged", "better": "better", "worse": "worse"}[kind]
    sureness = "" if found is None else ", significant" if is_sure else ", within chance"
    arrow = "→" if better is None else "▲" if value > 0 else "▼"
    tip = f"{said}{sureness}" + (f", {figures.chance(found.p)}" if found else "")
    return tag(
        "span",
        tag("span", arrow, aria_hidden="true"),
        " ",
        figures.points(value),
        tag("span", f" points, {said}{sureness}", class_="unseen"),
        class_=f"change {kind}" + ("" if is_sure else " unsure"),
        title=tip,
    )


def between(found: Difference | None) -> str:
    """The interval of a difference: "+15.0 to +27.1"."""
    return f"{figures.points(found.low)} to {figures.points(found.high)}" if found else ""
