"""Played conversations as others want them: plain text for a terminal, JUnit XML for a CI server."""

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from rejoinder.evaluate.attribution import lost_in
from rejoinder.evaluate.records import Check, Played

_MARKS = {True: "✓", False: "✗"}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no place for: control characters, halves of surrogate pairs."""


def as_text(played: Played) -> str:
    """The dialogue as it went, each turn with what was expected of it: ✓ or ✗ and what came instead.

    caller     I'd like a latte
    assistant  A latte, that's $3.50. Shall I make it?
      ✓ intent: orderDrink
      ✗ says: What size
      lost by dialogue
    """
    lines: list[str] = []
    for turn in played.turns:
        lines.append(f"caller     {turn.caller}")
        if turn.heard not in ("", turn.caller):
            lines.append(f"heard      {turn.heard}")
        lines.append(f"assistant  {turn.reply or '(nothing)'}")
        lines += [f"  {_told(check)}" for check in turn.checks]
        if (stage := lost_in(turn)) is not None:
            lines.append(f"  lost by {stage}")
    if played.error is not None:
        lines.append(f"  ✗ {played.error}")
    return "\n".join(lines)


def _told(check: Check) -> str:
    """A check in a line. What was said instead is not repeated: it stands right above."""
    is_above = check.ok or check.what in ("says", "not_says")
    return f"{_MARKS[check.ok]} {check.what}: {check.expected}{'' if is_above else f' (got: {check.got})'}"


def to_junit(played: Sequence[Played]) -> str:
    """JUnit's XML, as Jenkins, GitLab and GitHub's report actions read it: a suite for each file, a case for each
    conversation and repetition."""
    by_file: dict[str, list[Played]] = {}
    for one in played:
        by_file.setdefault(one.file, []).append(one)
    root = ElementTree.Element("testsuites", {"name": "rejoinder", **_counts(played)})
    for file, own in by_file.items():
        suite = ElementTree.SubElement(root, "testsuite", {"name": _clean(file), "skipped": "0", **_counts(own)})
        for one in own:
            _add_case(suite, one)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def write_junit(path: Path, played: Sequence[Played]) -> None:
    """Write `to_junit` into a file, whose folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_junit(played), encoding="utf-8")


def _counts(played: Sequence[Played]) -> dict[str, str]:
    """The attributes that suites and the whole have in common."""
    errors = sum(one.error is not None for one in played)
    failures = sum(not one.ok for one in played) - errors
    took_s = sum(one.took_s for one in played)
    return {"tests": str(len(played)), "failures": str(failures), "errors": str(errors), "time": f"{took_s:.3f}"}


def _add_case(suite: ElementTree.Element, played: Played) -> None:
    """A conversation. Jenkins groups by the class, whose dots are packages."""
    names = [part for part in (played.system, played.mode, played.file.removesuffix(".yaml").replace("/", ".")) if part]
    again = f" (repetition {played.repeat + 1})" if played.repeat else ""
    case = ElementTree.SubElement(
        suite,
        "testcase",
        name=_clean(f"{played.name}{again}"),
        classname=_clean(".".join(names)),
        time=f"{played.took_s:.3f}",
    )
    if played.error is not None:
        problem = ElementTree.SubElement(case, "error", type="error", message=_clean(played.error))
    elif not played.ok:
        failed = [check for turn in played.turns for check in turn.checks if not check.ok]
        told = "; ".join(f"{one.what}: expected {one.expected!r}, got {one.got!r}" for one in failed)
        problem = ElementTree.SubElement(case, "failure", type="expectation", message=_clean(told))
    else:
        return
    problem.text = _clean(as_text(played))


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
