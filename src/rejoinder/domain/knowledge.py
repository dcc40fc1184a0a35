"""Markdown to passages: what stands under one heading, as plain text that can be spoken."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rejoinder.domain import Passage
from rejoinder.errors import DomainError

if TYPE_CHECKING:
    from markdown_it.token import Token


def read_passages(path: Path, *, name: str) -> list[Passage]:
    """The passages of a Markdown file, in order; `name` is the file as sources name it.

    Code, HTML and images are left out; the items of lists and the rows of tables become sentences. Raises `DomainError`
    when the file cannot be read or holds no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DomainError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DomainError(f"{path} is not UTF-8 text (byte {error.start})") from None
    passages = list(_passages(text, name))
    if not passages:
        raise DomainError(f"{path} holds no text")
    return passages


def _passages(markdown: str, name: str) -> Iterator[Passage]:
    from markdown_it import MarkdownIt

    heading = Path(name).stem.replace("-", " ").replace("_", " ")
    blocks: list[str] = []
    cells: list[str] = []
    inside: list[str] = []
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        if token.nesting > 0:
            inside.append(token.type)
        elif token.nesting < 0:
            inside.pop()
        if token.type == "heading_open":
            yield from _passage(name, heading, blocks)
            heading, blocks = "", []
        elif token.type == "tr_close" and "thead_open" not in inside:
            blocks.append(_as_sentence(", ".join(cells)))
        elif token.type == "inline":
            plain = _plain(token)
            if "heading_open" in inside:
                heading = plain
            elif "tr_open" in inside:
                cells.append(plain)
            else:
                blocks.append(_as_sentence(plain) if "list_item_open" in inside else plain)
        if token.type == "tr_open":
            cells = []
    yield from _passage(name, heading, blocks)


def _passage(name: str, heading: str, blocks: list[str]) -> Iterator[Passage]:
    text = " ".join(block for block in blocks if block)
    if text:
        yield Passage(f"{name}#{heading}", heading, text)


def _plain(inline: "Token") -> str:
    """The words of a line without its marks; the text of a link stays, its address goes."""
    pieces = [
        " " if child.type in ("softbreak", "hardbreak") else child.content
        for child in inline.children or ()
        if child.type in ("text", "code_inline", "softbreak", "hardbreak")
    ]
    return " ".join("".join(pieces).split())


def _as_sentence(text: str) -> str:
    return text if not text or text[-1] in ".!?:;" else f"{text}."
