"""The comment on a pull request: short, right, and silent about what callers said."""

import json
from pathlib import Path

import pytest

from rejoinder.evaluate import records
from rejoinder.evaluate.attribution import attribute
from rejoinder.evaluate.records import Run, Turn, from_json, read
from rejoinder.evaluate.report import summary
from rejoinder.evaluate.scores import Scores
from rejoinder.evaluate.scoring import read_scores
from tests.evaluate.report import sample


@pytest.fixture(scope="module")
def run(run_folder: Path) -> Run:
    return from_json(Run, json.loads((run_folder / records.RUN).read_text()))


@pytest.fixture(scope="module")
def scores(run_folder: Path) -> Scores:
    return read_scores(run_folder)


@pytest.fixture(scope="module")
def turns(run_folder: Path) -> tuple[Turn, ...]:
    return attribute(read(run_folder, records.TURNS, Turn))


def test_the_table_has_a_column_for_each_condition(run: Run, scores: Scores) -> None:
    lines = summary(run, scores).splitlines()
    head = next(line for line in lines if line.startswith("| deep"))
    assert head == "| deep against base | clean | phone | noise10 | reverb | fast |"
    table = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in table} == {7}
    understood = scores.heard["deep"]["clean"].understood
    assert understood is not None
    row = next(line for line in table if line.startswith("| Understood"))
    assert row.startswith(f"| Understood | {100 * understood.value:.1f}% (+")
    assert "✅" in row


def test_what_failed_is_on_top(run: Run, scores: Scores) -> None:
    text = summary(run, scores, failures=["deep, noise10: understood 90.0% is under 95%"])
    assert text.index("❌ deep, noise10: understood 90.0% is under 95%") < text.index("| deep")
    assert "❌" not in summary(run, scores)


def test_words_are_left_out_unless_asked_for(run: Run, scores: Scores, turns: tuple[Turn, ...]) -> None:
    without, with_words = (summary(run, scores, turns=turns, has_words=words) for words in (False, True))
    assert "`call-003`: lost by" in without
    assert "cappuccino" not in without
    assert "onmouseover" not in without
    assert "heard `" in with_words
    assert without.count("\n- `") == 5


def test_nothing_in_it_is_markup_or_calls_anybody(scores: Scores, run: Run, turns: tuple[Turn, ...]) -> None:
    text = summary(run, scores, failures=["@octocat ![x](http://e.vil) <script> `a` | b"], turns=turns, has_words=True)
    outside_code = "".join(text.split("`")[::2])
    assert "@octocat" not in text
    assert "![x]" not in text
    assert "<script>" not in outside_code
    assert sample.HOSTILE_IMAGE not in outside_code


def test_a_run_of_nothing_has_a_summary(run: Run) -> None:
    text = summary(run, Scores({}))
    assert text.startswith("## Corner Cafe")
    assert "|---" not in text
