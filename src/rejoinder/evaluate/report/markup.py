"""HTML and SVG that what stands in it cannot break: every text and attribute is escaped, unless it is markup itself."""

import re
from collections.abc import Iterable, Iterator
from html import escape

VOID = frozenset(("br", "hr", "img", "input", "link", "meta", "wbr"))
"""Elements of HTML that have no end."""

_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""Characters that HTML forbids or that UTF-8 cannot write."""


class Html(str):
    """Markup that is safe as it stands."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]
"""What stands within an element: markup as it is, anything else as text, nothing for None."""

Attribute = str | int | float | bool | None


def text(value: object) -> Html:
    """Anything as text: no character of it is markup."""
    return Html(escape(_UNREADABLE.sub("\ufffd", str(value))))


def fragment(*children: Child) -> Html:
    """Several pieces in a row."""
    return Html("".join(_pieces(children)))


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Html:
    """One element. Of an attribute's name a last underscore is dropped, others are hyphens (`class_`, `aria_label`).

    True writes the bare name, None and False leave the attribute out, and floats have two decimals.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    return Html(f"<{name}{written}>" if name in VOID else f"<{name}{written}>{fragment(*children)}</{name}>")


def number(value: float) -> str:
    """A coordinate: short, and precise enough for any screen."""
    written = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if written == "-0" else written


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{text(number(value) if isinstance(value, float) else value)}"'


def _pieces(children: Iterable[Child]) -> Iterator[str]:
    for child in children:
        if isinstance(child, Html):
            yield child
        elif isinstance(child, str | int | float):
            yield text(child)
        elif child is not None:
            yield from _pieces(child)
