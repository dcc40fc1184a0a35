"""Charts as drawings: what stands where, and that no words stand on others."""

import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.evaluate.report.axes import ROOMY, TIGHT, Axis, fitted, fitting, text_width
from rejoinder.evaluate.report.charts import Bar, Dot, Group, Line, Row, Spot, heatmap, plot, rows, waveform
from rejoinder.evaluate.report.figures import whole_percent

SHARES = Axis(0.0, 1.0, show=whole_percent)


def drawn(svg: str) -> ElementTree.Element:
    """A drawing as XML, which it is too."""
    return ElementTree.fromstring(svg)


def texts(svg: str) -> dict[str, ElementTree.Element]:
    return {"".join(part for part in one.itertext()): one for one in drawn(svg).iter("text")}


@given(st.floats(0, 1e6), st.floats(0.001, 1e6))
def test_an_axis_from_zero_holds_its_values_and_ends_at_a_round_figure(highest: float, least: float) -> None:
    axis = Axis.from_zero([0.0, highest, math.nan], least=least)
    assert axis.low == 0
    assert axis.high >= max(highest, least) * (1 - 1e-6)
    assert axis.high <= 2.6 * max(highest, least)


@given(st.floats(0.01, 1e5), st.floats(60, 900))
def test_ticks_have_room(high: float, width: float) -> None:
    axis = Axis.from_zero([high], least=high)
    labels = axis.labels(0, width)
    assert labels
    for (x, shown), (next_x, next_shown) in pairwise(labels):
        assert next_x - x >= (text_width(shown) + text_width(next_shown)) / 2


def test_ticks_are_round_figures() -> None:
    assert [SHARES.show(tick) for tick in SHARES.ticks(6)] == ["0%", "20%", "40%", "60%", "80%", "100%"]
    callers = Axis(1, 16, show="{:.0f}".format, given=(1, 2, 4, 8, 16), scale=math.log2)
    assert [x for x, _ in callers.labels(0, 400)] == [0, 100, 200, 300, 400]


def test_figures_beyond_an_axis_stand_at_its_end() -> None:
    assert SHARES.at(1.7, 10, 20) == 20
    assert SHARES.at(-1, 10, 20) == 10
    assert Axis(3, 3).at(3, 10, 20) == 10


@given(st.text(max_size=60), st.floats(10, 300))
def test_a_text_is_cut_to_its_room(value: str, width: float) -> None:
    shown = fitted(value, width)
    assert shown == value or (shown.endswith("…") and (text_width(shown) <= width or shown == "…"))


def test_dots_stand_at_their_figures_with_their_intervals() -> None:
    dot = Dot(0.5, 0.25, 1.0, "s1", 0, "half")
    svg = drawn(
        rows([Group("clean", [Row("base", [dot], "50%"), Row("deep", [dot], "50%")])], SHARES, label="x", width=400)
    )
    line = next(one for one in svg.iter("line") if one.get("class") == "whisker")
    circle = next(svg.iter("circle"))
    left, right = float(line.get("x1", "")), float(line.get("x2", ""))
    assert float(circle.get("cx", "")) == pytest.approx(left + (right - left) / 3, abs=0.05)
    assert {one.text for one in svg.iter("title")} == {"half"}
    assert svg.get("aria-label") == "x"


def test_stacked_bars_follow_each_other() -> None:
    bars = [Bar(0, 0.2, "l0", "first"), Bar(0.2, 0.5, "l1", "second")]
    svg = drawn(rows([Group("", [Row("base", bars)])], SHARES, label="x", width=400))
    first, second = svg.iter("rect")
    end = float(first.get("x", "")) + float(first.get("width", ""))
    assert float(second.get("x", "")) == pytest.approx(end, abs=0.05)
    assert float(second.get("width", "")) == pytest.approx(1.5 * float(first.get("width", "")), abs=0.05)


def test_groups_of_one_row_take_their_names_to_it() -> None:
    bar = [Bar(0, 1, "l0", "")]
    assert set(texts(rows([Group("clean", [Row("base", bar)])], SHARES, label="x", width=400))) >= {"clean"}
    assert "base" not in texts(rows([Group("clean", [Row("base", bar)])], SHARES, label="x", width=400))


def test_the_point_in_use_is_ringed_and_named() -> None:
    spots = [Spot(n / 10, 1 - n / 10, f"tip {n}", f"setting {n}", is_marked=n == 4) for n in range(10)]
    svg = plot([Line(spots, "q0")], SHARES, SHARES, label="x", width=ROOMY)
    assert svg.count('class="ring"') == 1
    assert texts(svg)["setting 4"].get("class") == "marked"


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=25))
def test_labels_of_points_never_stand_on_each_other(places: list[tuple[float, float]]) -> None:
    svg = plot(
        [Line([Spot(x, y, "", f"label {n}") for n, (x, y) in enumerate(places)], "q0")],
        *(SHARES, SHARES),
        label="x",
        width=TIGHT,
    )
    boxes = []
    for shown, one in texts(svg).items():
        if shown.startswith("label"):
            x, y = float(one.get("x", "")), float(one.get("y", ""))
            boxes.append((x, y, x + text_width(shown), y + 11))
    for n, (left, top, right, bottom) in enumerate(boxes):
        for other_left, other_top, other_right, other_bottom in boxes[n + 1 :]:
            assert left >= other_right or other_left >= right or top >= other_bottom or other_top >= bottom


def test_a_matrix_is_strong_where_there_is_much() -> None:
    svg = drawn(heatmap(["order", "hours"], [[8, 2], [0, 5]], label="x", width=ROOMY))
    strong = [float(one.get("fill-opacity", "")) for one in svg.iter("rect") if one.get("fill-opacity")]
    assert len(strong) == 3
    assert strong[2] == 1.0
    assert strong[0] > strong[1]
    assert "meant order, understood hours: 2 of 10" in {one.text for one in svg.iter("title")}


def test_long_names_are_cut_and_told_in_full() -> None:
    name = "askForTheOpeningHoursOfTheShopInTheOldTown"
    svg = heatmap([name, "b"], [[1, 0], [0, 1]], label="x", width=TIGHT)
    assert name not in {one.text for one in drawn(svg).iter("text")}
    assert name in {one.text for one in drawn(svg).iter("title")}


def test_empty_charts_are_drawings_too() -> None:
    drawn(plot([Line([], "q0")], SHARES, SHARES, label="x", width=ROOMY))
    drawn(heatmap([], [], label="x", width=ROOMY))
    drawn(rows([], SHARES, label="x", width=ROOMY))
    drawn(waveform([], [], label="x"))


def test_a_chart_comes_in_two_widths() -> None:
    both = fitting(rows, [Group("", [Row("a", [Bar(0, 1, "l0", "")])])], SHARES, label="x")
    assert f'width="{ROOMY:.0f}"' in both
    assert f'width="{TIGHT:.0f}"' in both


def test_moments_of_a_waveform_stand_where_they_happen() -> None:
    svg = drawn(waveform([0.0, 0.5, 1.0, 0.5], [(0.5, "ends", "speech ends")], label="x"))
    line = next(svg.iter("line"))
    assert float(line.get("x1", "")) == 2
