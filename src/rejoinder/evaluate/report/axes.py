"""Where figures stand on an axis, and how wide their words are: what every chart shares."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from unicodedata import east_asian_width

from rejoinder.evaluate.report.markup import Attribute, Html, fragment, tag

FONT_PX = 11.0
"""Letters in charts."""

ROOMY, TIGHT = 440.0, 300.0
"""Widths that charts are drawn in: on a desk, two beside each other, and on a telephone."""

_NARROW_LETTERS = frozenset("fijlrtI.,:;'|!()[] ")
_WIDE_LETTERS = frozenset("mwMWGOQ%@—")


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`, with ticks at round figures or at those given."""

    low: float
    high: float
    title: str = ""
    show: Callable[[float], str] = "{:g}".format
    given: Sequence[float] = ()
    """Where ticks are to be, for axes that are not counted in equal steps."""
    scale: Callable[[float], float] = float
    """What is drawn in equal steps, as `math.log2`."""

    @classmethod
    def from_zero(
        cls, values: Iterable[float], title: str = "", show: Callable[[float], str] = "{:g}".format, *, least: float
    ) -> "Axis":
        """From zero to a round figure above all `values`, and never shorter than `least`."""
        highest = max((value for value in values if math.isfinite(value)), default=0.0)
        step = _step(max(highest, least) / 4)
        return cls(0.0, step * math.ceil(max(highest, least) / step - 1e-9), title, show)

    def ticks(self, at_most: int) -> tuple[float, ...]:
        """Round figures, both ends included where they are round."""
        if self.given:
            return tuple(self.given)
        step = _step((self.high - self.low) / max(at_most - 1, 1))
        first = math.ceil(self.low / step - 1e-9)
        return tuple(n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1))

    def at(self, value: float, start: float, end: float) -> float:
        """Where a figure stands between two coordinates; those beyond the axis stand at its end."""
        low, high = self.scale(self.low), self.scale(self.high)
        share = (self.scale(value) - low) / ((high - low) or 1.0)
        return start + (end - start) * min(max(share, 0.0), 1.0)

    def labels(self, start: float, end: float) -> list[tuple[float, str]]:
        """Coordinates and texts of as many ticks as have room between two coordinates without touching."""
        for at_most in (6, 5, 4, 3, 2):
            ticks = [(self.at(value, start, end), self.show(value)) for value in self.ticks(at_most)]
            if not any(_touch(one, after) for one, after in pairwise(ticks)):
                return ticks
        kept: list[tuple[float, str]] = []
        for tick in self.ticks(2):
            here = (self.at(tick, start, end), self.show(tick))
            if not kept or not _touch(kept[-1], here):
                kept.append(here)
        return kept


def _touch(one: tuple[float, str], other: tuple[float, str]) -> bool:
    return abs(one[0] - other[0]) < (text_width(one[1]) + text_width(other[1])) / 2 + 8


def _step(least: float) -> float:
    """The next of 1, 2, 5, 10, … times a power of ten."""
    if least <= 0 or not math.isfinite(least):
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))


def text_width(text: str, size: float = FONT_PX) -> float:
    """About how wide a text is in a sans-serif font, in the unit of `size`; rather too wide than too narrow."""
    return size * sum(
        1.05
        if east_asian_width(letter) in "WF"
        else 0.34
        if letter in _NARROW_LETTERS
        else 0.92
        if letter in _WIDE_LETTERS
        else 0.6
        for letter in text
    )


def fitted(text: str, width: float, size: float = FONT_PX) -> str:
    """The text, or as much of it as fits and an ellipsis."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def words(
    text: str, x: float, y: float, *, width: float | None = None, tip: str | None = None, **attributes: Attribute
) -> Html:
    """A text in a drawing, cut to `width`; where it is cut, the whole of it is its tooltip."""
    shown = text if width is None else fitted(text, width)
    tip = tip or (text if shown != text else None)
    return tag("text", tag("title", tip) if tip else None, shown, x=x, y=y, **attributes)


def drawing(width: float, height: float, label: str, *children: Html) -> Html:
    """A chart of its own size; `label` says what it shows to those who do not see it."""
    return tag(
        "svg",
        *children,
        class_="chart",
        role="img",
        aria_label=label,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=round(width),
        height=round(height),
    )


def fitting(draw: Callable[..., Html], *what: object, label: str) -> Html:
    """A chart in two widths, of which the page shows the one that fits: letters keep their size on a telephone."""
    return fragment(
        tag("div", draw(*what, label=label, width=ROOMY), class_="drawn roomy"),
        tag("div", draw(*what, label=label, width=TIGHT), class_="drawn tight"),
    )
