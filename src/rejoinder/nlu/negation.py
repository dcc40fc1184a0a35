"""Values that are refused: "no sugar", "hold the cream", "not small but large".

A refused value is a span whose value is empty. It covers the words that refuse it, too, so that they count as
understood.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from rejoinder.nlu.slots import Span

_DETERMINERS = "(?: (?:the|any|a|an|my|that|more|your))*"
_REMOVE = (
    "without|minus|hold|skip|omit|remove|drop|exclude|lose|(?:leave|take|cut|keep) (?:out|off|away)|get rid of"
    "|(?:do|would|did|can|could) not (?:want|need|like|have|put|add|take|get|use)(?: it)?(?: with)?"
)
_BEFORE = re.compile(rf"\b(?:(?:{_REMOVE}){_DETERMINERS}|not(?: with)?(?: (?:the|a|an))?)$")
_NO = re.compile(r"\bno(?: more)?$")
_SPLIT_BEFORE = re.compile(r"\b(?:leave|take|cut|keep)(?: (?:the|any|my|that))?$")
_SPLIT_AFTER = frozenset(["out", "off", "away"])
_NO_AND_PAUSE = re.compile(r"\bno\s*[,.;!?]", re.IGNORECASE)
_REFUSING = frozenset("no not without minus hold skip omit remove drop exclude lose leave take cut keep rid".split())
"""One of them stands in every refusal."""

_BEFORE_AT_MOST = 8
"""Words before a value in which a refusal is looked for."""


def refused(
    spans: Sequence[Span], words: Sequence[str], *, text: str, added: frozenset[str] = frozenset()
) -> tuple[Span, ...]:
    """The spans, those that are refused with an empty value and with the words that refuse them.

    A bare "no" refuses only the slots that are `added` to something, "with milk": "no medium" is "no, a medium" without
    its comma. In `text`, as it was written, a comma after the "no" settles that it is an answer.
    """
    if _REFUSING.isdisjoint(words):
        return tuple(spans)
    bare_no = _NO_AND_PAUSE.search(text) is None
    result = []
    ends: dict[int, int] = {}  # end of a refused value -> its length
    for span in sorted(spans, key=lambda span: span.start):
        start, end = _refusal(span, words, bare_no=bare_no and span.slot in added)
        if start == end and _joined(span, words, ends):
            start, end = span.start, span.end
        if start == end:
            result.append(span)
            continue
        ends[span.end] = max(ends.get(span.end, 0), span.end - span.start)
        result.append(replace(span, value="", start=start, end=end))
    return tuple(result)


def _refusal(span: Span, words: Sequence[str], *, bare_no: bool) -> tuple[int, int]:
    """From where to where a refusal of this value goes; two equal numbers when there is none."""
    before = " ".join(words[max(0, span.start - _BEFORE_AT_MOST) : span.start])
    if span.end < len(words) and words[span.end] in _SPLIT_AFTER and (found := _SPLIT_BEFORE.search(before)):
        return span.start - len(found[0].split()), span.end + 1
    found = _BEFORE.search(before) or (_NO.search(before) if bare_no else None)
    if found is None:
        return span.start, span.start
    return span.start - len(found[0].split()), span.end


def _joined(span: Span, words: Sequence[str], ends: dict[int, int]) -> bool:
    """Whether "or sugar" goes on with "no milk"; "and" does so between two of a kind, not in "and a lot of sugar"."""
    if span.start < 2:
        return False
    length = ends.get(span.start - 1)
    if length is None:
        return False
    joint = words[span.start - 1]
    return joint in ("or", "nor") or (joint == "and" and length == span.end - span.start)
