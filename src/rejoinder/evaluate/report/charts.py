"""Charts as SVG written by hand: no script, no picture, colours from the page's style, a tooltip on every mark.

A chart is a function of what it shows and its width, so that letters have the same size on every screen.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rejoinder.evaluate.report.axes import FONT_PX, Axis, drawing, text_width, words
from rejoinder.evaluate.report.markup import Html, fragment, tag


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a row from `start` to `end`."""

    start: float
    end: float
    colour: str
    """A class of the style sheet."""
    tip: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A figure and its interval."""

    value: float
    low: float
    high: float
    colour: str
    shape: int
    """Systems differ in shape as well as in colour."""
    tip: str


@dataclass(frozen=True, slots=True)
class Row:
    """What stands side by side, with a figure at its end."""

    label: str
    marks: Sequence[Bar | Dot]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows under a title."""

    title: str
    rows: Sequence[Row]


ROW = 20.0
TITLE = 22.0
GAP = 10.0


def rows(groups: Sequence[Group], axis: Axis, *, label: str, width: float) -> Html:
    """Bars or dots in rows, the names to the left and the figures to the right of a shared axis.

    Groups of a single row need no title: the row takes its name.
    """
    if all(len(group.rows) == 1 for group in groups):
        groups = [
            Group("", [Row(group.title or row.label, row.marks, row.note) for group in groups for row in group.rows])
        ]
    room = width * 0.3
    left = min(max((text_width(row.label) for group in groups for row in group.rows), default=0.0), room) + 12
    right = width - max((text_width(row.note) for group in groups for row in group.rows), default=0.0) - 14
    drawn: list[Html] = []
    y = 6.0
    for n, group in enumerate(groups):
        if n:
            y += GAP
        if group.title:
            drawn.append(words(group.title, 0, y + 13, width=width, class_="group"))
            y += TITLE
        for row in group.rows:
            drawn.append(words(row.label, 0, y + ROW / 2 + 4, width=left - 10))
            drawn += [_mark(mark, axis, left, right, y + ROW / 2) for mark in row.marks]
            drawn.append(words(row.note, width, y + ROW / 2 + 4, text_anchor="end", class_="figure"))
            y += ROW
    grid = [tag("line", x1=x, x2=x, y1=0, y2=y + 4, class_="grid") for x, _ in axis.labels(left, right)]
    ticks = [words(shown, x, y + 20, text_anchor="middle", class_="tick") for x, shown in axis.labels(left, right)]
    height = y + 28
    title = Html()
    if axis.title:
        title = words(axis.title, right, height + 8, width=right, text_anchor="end", class_="axis")
        height += 14
    return drawing(width, height, label, *grid, *ticks, title, *drawn)


def _mark(mark: Bar | Dot, axis: Axis, left: float, right: float, y: float) -> Html:
    tip = tag("title", mark.tip)
    if isinstance(mark, Bar):
        start, end = axis.at(mark.start, left, right), axis.at(mark.end, left, right)
        return tag("rect", tip, x=start, y=y - 6, width=max(end - start, 1.0), height=12, rx=2, class_=mark.colour)
    low, high = axis.at(mark.low, left, right), axis.at(mark.high, left, right)
    return tag(
        "g",
        tip,
        tag("rect", x=low - 4, y=y - ROW / 2, width=high - low + 8, height=ROW, class_="target"),
        tag("line", x1=low, x2=high, y1=y, y2=y, class_="whisker"),
        _shape(mark.shape, axis.at(mark.value, left, right), y, 5.0),
        class_=mark.colour,
    )


def _shape(n: int, x: float, y: float, r: float) -> Html:
    """A circle, square, diamond or triangle."""
    match n % 4:
        case 0:
            return tag("circle", cx=x, cy=y, r=r, class_="dot")
        case 1:
            return tag("rect", x=x - r * 0.9, y=y - r * 0.9, width=r * 1.8, height=r * 1.8, rx=1, class_="dot")
        case 2:
            return tag(
                "path",
                d=_path([(x, y - r * 1.25), (x + r * 1.25, y), (x, y + r * 1.25), (x - r * 1.25, y)], close=True),
                class_="dot",
            )
        case _:
            return tag(
                "path",
                d=_path([(x, y - r * 1.15), (x + r * 1.15, y + r * 0.85), (x - r * 1.15, y + r * 0.85)], close=True),
                class_="dot",
            )


def _path(spots: Sequence[tuple[float, float]], *, close: bool = False) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in spots) + ("Z" if close else "")


@dataclass(frozen=True, slots=True)
class Spot:
    """A point of a line."""

    x: float
    y: float
    tip: str
    label: str = ""
    """Written beside it where there is room; the first spots of a line have the first choice."""
    is_marked: bool = False
    """Ringed, and labelled before all others."""
    size: float = 3.5


@dataclass(frozen=True, slots=True)
class Line:
    """Points joined by a line."""

    spots: Sequence[Spot]
    colour: str
    shape: int = 0
    is_dashed: bool = False
    has_dots: bool = True


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "_Box") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def holds(self, other: "_Box") -> bool:
        return (
            self.left <= other.left
            and self.top <= other.top
            and self.right >= other.right
            and self.bottom >= other.bottom
        )


def plot(lines: Sequence[Line], x: Axis, y: Axis, diagonal: bool = False, *, label: str, width: float) -> Html:
    """Lines over two axes; `diagonal` draws where x equals y."""
    height = min(width * 0.78, 300.0)
    left = max((text_width(shown) for _, shown in y.labels(height, 0)), default=0.0) + 10
    right, top, bottom = width - 14, 26.0, height - 40
    drawn = [words(y.title, 0, 11, width=width, class_="axis")]
    for at, shown in y.labels(bottom, top):
        drawn.append(tag("line", x1=left, x2=right, y1=at, y2=at, class_="grid"))
        drawn.append(words(shown, left - 7, at + 4, text_anchor="end", class_="tick"))
    for at, shown in x.labels(left, right):
        drawn.append(tag("line", x1=at, x2=at, y1=bottom, y2=bottom + 4, class_="grid"))
        inside = min(max(at, text_width(shown) / 2), width - text_width(shown) / 2)
        drawn.append(words(shown, inside, bottom + 17, text_anchor="middle", class_="tick"))
    drawn.append(words(x.title, right, height - 5, width=width, text_anchor="end", class_="axis"))
    if diagonal:
        drawn.append(tag("line", x1=left, y1=bottom, x2=right, y2=top, class_="diagonal"))
    placed: list[_Box] = []
    named: list[tuple[float, float, Spot]] = []
    for line in lines:
        spots = [(x.at(spot.x, left, right), y.at(spot.y, bottom, top), spot) for spot in line.spots]
        drawn.append(_line(line, spots))
        placed += _along([(at_x, at_y) for at_x, at_y, _ in spots])
        named += [spot for spot in spots if spot[2].label]
    named.sort(key=lambda spot: not spot[2].is_marked)
    drawn += _labels(named, placed, _Box(left, 12, width, bottom))
    return drawing(width, height, label, *drawn)


def _along(spots: Sequence[tuple[float, float]]) -> Iterator[_Box]:
    """Where a line keeps labels away: its dots, and every few pixels between them."""
    yield from (_Box(x - 4, y - 4, x + 4, y + 4) for x, y in spots)
    for (x, y), (next_x, next_y) in pairwise(spots):
        n = int(math.hypot(next_x - x, next_y - y) / 5) + 1
        for step in range(1, n):
            at_x, at_y = x + (next_x - x) * step / n, y + (next_y - y) * step / n
            yield _Box(at_x - 1, at_y - 1, at_x + 1, at_y + 1)


def _line(line: Line, spots: Sequence[tuple[float, float, Spot]]) -> Html:
    joined = _path([(x, y) for x, y, _ in spots]) if spots else "M0 0"
    marks = [
        tag(
            "g",
            tag("title", spot.tip),
            tag("circle", cx=x, cy=y, r=9, class_="target"),
            tag("circle", cx=x, cy=y, r=7.5, class_="ring") if spot.is_marked else None,
            _shape(line.shape, x, y, spot.size) if line.has_dots else None,
        )
        for x, y, spot in spots
        if spot.tip
    ]
    return tag(
        "g", tag("path", d=joined, class_="line dashed" if line.is_dashed else "line"), *marks, class_=line.colour
    )


def _labels(named: Sequence[tuple[float, float, Spot]], placed: list[_Box], room: _Box) -> list[Html]:
    """Labels beside their spots, those left out that would stand on something."""
    drawn: list[Html] = []
    for x, y, spot in named:
        wide = text_width(spot.label)
        away = 11.0 if spot.is_marked else 8.0
        for left, top in (
            *((x + away, y - FONT_PX - 1), (x + away, y + 1), (x - away - wide, y - FONT_PX - 1)),
            *((x - away - wide, y + 1), (x - wide / 2, y - FONT_PX - away), (x - wide / 2, y + away - 2)),
        ):
            box = _Box(left - 2, top, left + wide + 2, top + FONT_PX + 2)
            if room.holds(box) and not any(box.meets(other) for other in placed):
                placed.append(box)
                drawn.append(words(spot.label, left, top + FONT_PX - 1, class_="marked" if spot.is_marked else "tick"))
                break
    return drawn


def heatmap(names: Sequence[str], counts: Sequence[Sequence[int]], *, label: str, width: float) -> Html:
    """A confusion matrix: a row for what was meant, a column for what was understood, strong where there is much."""
    gutter = min(max((text_width(name) for name in names), default=0.0), width * 0.32) + 10
    cell = max(min((width - gutter) / max(len(names), 1), 34.0), 8.0)
    size = cell * len(names)
    drawn = [
        fragment(
            words(name, gutter - 7, gutter + cell * (n + 0.5) + 4, width=gutter - 8, text_anchor="end"),
            words(
                name,
                *(0.0, 0.0),
                width=gutter - 8,
                transform=f"translate({gutter + cell * (n + 0.5) + 4:.1f} {gutter - 7:.1f}) rotate(-90)",
            ),
        )
        for n, name in enumerate(names)
    ]
    for i, row in enumerate(counts):
        for j, n in enumerate(row):
            x, y = gutter + j * cell, gutter + i * cell
            share = n / max(sum(row), 1)
            tip = f"meant {names[i]}, understood {names[j]}: {n} of {sum(row)}"
            kind = "right" if i == j else "wrong"
            drawn.append(
                tag(
                    "g",
                    tag("title", tip),
                    tag("rect", x=x + 1, y=y + 1, width=cell - 2, height=cell - 2, rx=2, class_="empty"),
                    tag(
                        *("rect",),
                        x=x + 1,
                        y=y + 1,
                        width=cell - 2,
                        height=cell - 2,
                        rx=2,
                        class_=kind,
                        fill_opacity=0.15 + 0.85 * math.sqrt(share),
                    )
                    if n
                    else None,
                    words(
                        str(n),
                        x + cell / 2,
                        y + cell / 2 + 4,
                        text_anchor="middle",
                        class_="on" if share > 0.3 else "count",
                    )
                    if n and cell >= text_width(str(n)) + 4
                    else None,
                )
            )
    return drawing(width, gutter + size + 4, label, *drawn)


def waveform(peaks: Sequence[float], marks: Sequence[tuple[float, str, str]], *, label: str) -> Html:
    """The loudness of a recording, `peaks` in [0, 1]; `marks` are moments as shares of its length, colours and tips.

    It is stretched to the width that it has on the page, so that it holds no words.
    """
    n = max(len(peaks), 1)
    upper = [(i + 0.5, 20 - 18 * min(max(peak, 0.02), 1.0)) for i, peak in enumerate(peaks)]
    lower = [(x, 40 - y) for x, y in reversed(upper)]
    return tag(
        "svg",
        tag("path", d=_path([*upper, *lower], close=True), class_="wave") if peaks else None,
        [
            tag(
                "line",
                tag("title", tip),
                x1=n * at,
                x2=n * at,
                y1=0,
                y2=40,
                class_=colour,
                vector_effect="non-scaling-stroke",
            )
            for at, colour, tip in marks
        ],
        class_="waveform",
        role="img",
        aria_label=label,
        viewBox=f"0 0 {n} 40",
        preserveAspectRatio="none",
    )
