"""Corrections join the examples of a domain, and wrong ones are said with file and line."""

import json
from pathlib import Path

import pytest

from rejoinder.domain import Domain
from rejoinder.domain.corrections import FILE_NAME, Corrected, read_corrections, write_corrections
from rejoinder.errors import DomainError

DOMAIN = """\
intents:
  hours: {examples: [when are you open, do you open today], reply: Always.}
  order: {examples: [a coffee], reply: Here.}
out_of_scope: [sing a song]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "domain.yaml").write_text(DOMAIN)
    return tmp_path


def test_a_correction_wins_over_what_the_domain_says(folder: Path) -> None:
    write_corrections(
        folder,
        [
            Corrected("Do you open today?", "order", "call_a/1"),
            Corrected("sing a song", "hours", "call_a/2"),
            Corrected("a boat", None, "call_b/1"),
        ],
    )
    domain = Domain.load(folder)
    assert domain.intents["hours"].examples == ("when are you open", "sing a song")
    assert domain.intents["order"].examples == ("a coffee", "Do you open today?")
    assert domain.out_of_scope_examples == ("a boat",)
    assert read_corrections(folder)[2] == Corrected("a boat", None, "call_b/1")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('"text"', '"text", what was said'),
        ('{"text": " ? ", "intent": null}', '"text", what was said'),
        ('{"text": "a"}', 'needs "intent"'),
        ('{"text": "a", "intent": 3}', 'needs "intent"'),
        ('{"text": "a", "intent": "ordr"}', "no intent 'ordr' .did you mean 'order'"),
    ],
)
def test_a_wrong_line_is_named(folder: Path, line: str, said: str) -> None:
    right = json.dumps({"text": "a boat", "intent": None})
    (folder / FILE_NAME).write_text(f"{right}\n\n{line}\n")
    with pytest.raises(DomainError, match=rf"{FILE_NAME}:3: .*{said}"):
        Domain.load(folder)


def test_what_is_no_text_is_said(folder: Path) -> None:
    (folder / FILE_NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DomainError, match=f"{FILE_NAME}:1: cannot be read"):
        Domain.load(folder)
