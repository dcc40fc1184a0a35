"""Played conversations for CI servers: the structure that Jenkins' schema asks for, whatever was said."""

from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from rejoinder.evaluate.junit import as_text, to_junit, write_junit
from rejoinder.evaluate.records import Check, Played, PlayedTurn

GOOD = Check("intent", "order", "order", True)
BAD = Check("says", "What size", 'A "latte" & <more>.', False)

REQUIRED = {
    "testsuites": set(),
    "testsuite": {"name"},
    "testcase": {"name", "classname"},
    "failure": set(),
    "error": set(),
}
ALLOWED = {
    "testsuites": {"name", "time", "tests", "failures", "errors", "disabled"},
    "testsuite": {
        *(
            "name",
            "tests",
            "failures",
            "errors",
            "time",
            "disabled",
            "skipped",
            "timestamp",
            "hostname",
            "id",
            "package",
        ),
    },
    "testcase": {"name", "classname", "time", "assertions", "status"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out", "system-err"},
    "testcase": {"skipped", "error", "failure", "system-out", "system-err"},
    "failure": set[str](),
    "error": set[str](),
}
"""The elements of jenkins-junit.xsd (Jenkins' xUnit plug-in) with their attributes and what may stand in them."""


def played(*checks: Check, name: str = "a latte", repeat: int = 0, error: str | None = None) -> Played:
    turn = PlayedTurn("I'd like a latte", "I'd like a latte", "A latte.", checks)
    return Played("base", "tests/orders.yaml", name, "text", repeat, (turn,), error, 0.25)


def check_structure(element: ElementTree.Element) -> None:
    assert REQUIRED[element.tag] <= set(element.attrib) <= ALLOWED[element.tag]
    for child in element:
        assert child.tag in CHILDREN[element.tag]
        check_structure(child)


def test_suites_cases_failures_and_errors() -> None:
    other = Played("base", "tests/more.yaml", "b", "audio", 0, (), None, 1.5)
    root = ElementTree.fromstring(to_junit([played(GOOD), played(GOOD, BAD, repeat=1), played(error="no"), other]))
    check_structure(root)
    assert root.attrib == {"name": "rejoinder", "tests": "4", "failures": "1", "errors": "1", "time": "2.250"}
    orders, more = root
    assert (orders.attrib["name"], orders.attrib["tests"], orders.attrib["time"]) == ("tests/orders.yaml", "3", "0.750")
    assert (more.attrib["failures"], more.attrib["errors"]) == ("0", "0")
    fine, failed, broken = orders
    assert list(fine) == []
    assert fine.attrib == {"name": "a latte", "classname": "base.text.tests.orders", "time": "0.250"}
    assert failed.attrib["name"] == "a latte (repetition 2)"
    (failure,) = failed
    assert failure.attrib["message"] == """says: expected 'What size', got 'A "latte" & <more>.'"""
    assert "✗ says: What size" in (failure.text or "")
    (problem,) = broken
    assert (problem.tag, problem.attrib["message"]) == ("error", "no")


def test_nothing_was_played() -> None:
    root = ElementTree.fromstring(to_junit([]))
    assert root.attrib["tests"] == "0"


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_makes_well_formed_xml(name: str, got: str) -> None:
    told = to_junit([played(Check("says", "a", got, False), name=name), played(name=name, error=f"\x00{got}")])
    root = ElementTree.fromstring(told.encode("utf-8", errors="strict"))
    check_structure(root)
    assert len(list(root.iter("testcase"))) == 2


def test_it_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "junit.xml"
    write_junit(path, [played(GOOD)])
    assert ElementTree.parse(path).getroot().tag == "testsuites"


def test_a_dialogue_as_text() -> None:
    turns = (
        PlayedTurn("(the call begins)", "", "Hello!", ()),
        PlayedTurn("a latte", "a lattay", "", (GOOD, BAD, Check("action", "order", "none", False))),
    )
    told = as_text(Played("base", "tests/orders.yaml", "a latte", "audio", 0, turns, "the call was over"))
    assert told.splitlines() == [
        "caller     (the call begins)",
        "assistant  Hello!",
        "caller     a latte",
        "heard      a lattay",
        "assistant  (nothing)",
        "  ✓ intent: order",
        "  ✗ says: What size",
        "  ✗ action: order (got: none)",
        "  lost by dialogue",
        "  ✗ the call was over",
    ]
