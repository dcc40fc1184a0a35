"""`rejoinder review` on a store of SQLite's."""

import json
from pathlib import Path

import pytest

from rejoinder.domain.corrections import read_corrections
from rejoinder.serve.store.database import Store
from tests.cli.command import run
from tests.serve.store.test_learning import DOMAIN
from tests.serve.store.turns import turn


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "domain.yaml").write_text(DOMAIN)
    url = f"sqlite:///{tmp_path / 'calls.db'}"
    store = Store.open(url)
    store.add(turn(text="can I pop by", intent="order", confidence=0.3))
    store.add(turn("call_b", text="what about " + "tea " * 30, source="none", intent=None, owner="web"))
    store.close()
    monkeypatch.setenv("REJOINDER_STORE", url)
    return tmp_path


def test_the_least_sure_turns_are_listed(folder: Path) -> None:
    lines = run("review", folder).stdout.splitlines()
    assert lines[0].split() == ["TURN", "CALL", "SAID", "TAKEN", "FOR", "BECAUSE"]
    assert "not understood" in lines[1]
    assert "30% sure" in lines[2]
    assert "1 more" in run("review", folder, "-n", 1).stdout
    (first, second) = map(json.loads, run("review", folder, "--json").stdout.splitlines())
    assert (first["call"], second["call"]) == ("call_b", "call_a")


def test_corrections_are_written_and_not_listed_again(folder: Path) -> None:
    done = run("review", folder, "--correct", 1, "--intent", "hours", "--text", "can I drop by", "--slot", "size=large")
    assert "corrections.jsonl" in done.stdout
    assert f"rejoinder adapt {folder}" in done.stdout
    run("review", folder, "--out-of-scope", 2)
    assert next((one.text, one.intent) for one in read_corrections(folder)) == ("can I drop by", "hours")
    assert "No turn in the store is doubtful" in run("review", folder).stdout
    run("review", folder, "--fine", 1)
    assert [one.intent for one in read_corrections(folder)] == [None, "order"]


def test_calls_are_forgotten(folder: Path) -> None:
    run("review", folder, "--out-of-scope", 1)
    said = run("review", folder, "--forget", "call_a").stdout
    assert "Deleted 1 turn, and 1 entry" in said
    assert "make them anew" in said
    assert "Deleted 1 turn, and 0 entries" in run("review", folder, "--forget-key", "web").stdout
    assert read_corrections(folder) == ()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--correct", 1, "--intent", "hour"), "did you mean 'hours'"),
        (("--correct", 99, "--intent", "hours"), "no turn 99"),
        (("--fine", 1, "--out-of-scope", 2), "take one of them"),
        (("--intent", "hours"), "which turn"),
        (("--correct", 1, "--intent", "order", "--slot", "size"), "NAME=VALUE"),
        (("--store", "calls.db"), "sqlite:///calls.db"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, arguments: tuple[object, ...], said: str) -> None:
    result = run("review", folder, *arguments)
    assert result.exit_code
    assert said in result.output


def test_without_a_store_it_says_what_to_type(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REJOINDER_STORE")
    assert "--store sqlite:///calls.db" in run("review", folder).output
