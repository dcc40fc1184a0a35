"""Nothing that stands in a page can break out of it."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.evaluate.report.markup import Html, fragment, number, tag, text


class Reader(HTMLParser):
    """The elements, attributes and text that a browser would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


@given(st.text())
def test_any_text_comes_out_as_it_went_in(value: str) -> None:
    html = tag("p", value, title=value)
    html.encode("utf-8")
    reader = seen(html)
    assert [name for name, _ in reader.elements] == ["p"]
    assert "\x00" not in html
    kept = str(text(value)).count("\ufffd") == value.count("\ufffd")
    if kept and "\r" not in value:
        assert reader.text == value
        assert reader.elements[0][1] == {"title": value}


@given(st.text(alphabet="<>&\"'/ abscriptonx=-!", max_size=40))
def test_no_text_becomes_an_element_or_an_attribute(value: str) -> None:
    reader = seen(tag("div", tag("b", value, data_x=value), value))
    assert [name for name, _ in reader.elements] == ["div", "b"]
    assert reader.elements[1][1] == {"data-x": value}
    assert reader.text == value + value


def test_what_cannot_be_written_is_replaced() -> None:
    assert text("a\ud83db\x00c\uffffd") == "a\ufffdb\ufffdc\ufffdd"
    tag("p", "\udfff", title="\ud800").encode("utf-8")


def test_children_and_attributes() -> None:
    assert tag("p", "a", None, 3, [tag("b", 1.5), (part for part in ("c",))]) == "<p>a3<b>1.5</b>c</p>"
    html = tag("input", hidden=True, checked=False, value=None, aria_label="x", class_="y", x=1.0, max=3)
    assert html == '<input hidden aria-label="x" class="y" x="1" max="3">'
    assert fragment() == ""
    assert isinstance(fragment("<"), Html)


@pytest.mark.parametrize(
    ("value", "written"), [(1.0, "1"), (-0.001, "0"), (2.345, "2.35"), (100.0, "100"), (-3.5, "-3.5")]
)
def test_numbers_are_short(value: float, written: str) -> None:
    assert number(value) == written
