"""What goes in comes out, in SQLite and in a real PostgreSQL; and what is forgotten is gone."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from rejoinder.errors import SettingsError
from rejoinder.serve.store.database import Store, may_pass, reason
from rejoinder.serve.store.tables import VERSION, SchemaRow, Table
from rejoinder.serve.store.turns import Correction, Verdict
from tests.serve.store.turns import AT, TURN, turn

CORRECTION = Correction(verdict=Verdict.CORRECTED, text="are you open", intent="hours", slots={"day": "sunday"})


def test_a_turn_comes_back_as_it_was(store: Store) -> None:
    kept = store.get(store.add(TURN, b"fLaC"))
    assert kept is not None
    assert (kept.turn, kept.has_audio, kept.correction) == (TURN, True, None)
    assert store.audio(kept.id) == b"fLaC"
    assert store.get(kept.id + 1) is None
    assert store.audio(kept.id + 1) is None


def test_a_correction_replaces_the_one_before(store: Store) -> None:
    number = store.add(TURN)
    store.correct(number, Correction(verdict=Verdict.FINE, text="x"))
    store.correct(number, CORRECTION)
    kept = store.get(number)
    assert kept is not None
    assert kept.correction == CORRECTION


def test_forgetting_leaves_the_other_calls(store: Store) -> None:
    for call, owner, day in (("a", "kiosk", 0), ("a", "kiosk", 0), ("b", "kiosk", 5), ("c", None, 9)):
        number = store.add(turn(call, owner=owner, at=AT + timedelta(days=day)), b"fLaC")
        store.correct(number, CORRECTION)
    assert store.forget_before(AT + timedelta(days=1)) == ["a", "a"]
    assert store.forget("a") == []
    assert [one.turn.call for one in store.latest()] == ["b", "c"]
    assert store.forget_owner("kiosk") == ["b"]
    assert store.forget("c") == ["c"]
    assert store.latest() == []
    assert store.audio(1) is None


def test_the_latest_come_call_by_call(store: Store) -> None:
    for call, n in (("b", 1), ("a", 1), ("b", 2), ("a", 2)):
        store.add(turn(call, n))
    assert [(one.turn.call, one.turn.n) for one in store.latest()] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert [one.turn.n for one in store.latest(n=2)] == [2, 2]
    assert [one.turn.n for one in store.call("b")] == [1, 2]


def test_it_can_be_opened_again(url: str) -> None:
    first = Store.open(url)
    first.add(TURN)
    first.close()
    again = Store.open(url)
    assert len(again.latest()) == 1
    again.close()


def test_servers_that_open_an_empty_database_at_the_same_time_all_do(postgres_url: str) -> None:
    n_servers = 8
    ready = threading.Barrier(n_servers)

    def open_it(_: int) -> Store:
        ready.wait()
        return Store.open(postgres_url)

    for _ in range(5):
        with ThreadPoolExecutor(n_servers) as pool:
            for store in pool.map(open_it, range(n_servers)):
                store.close()
        engine = create_engine(postgres_url.replace("postgresql://", "postgresql+pg8000://"))
        with engine.connect() as connection:
            assert list(connection.scalars(select(SchemaRow.version))) == [VERSION]
        Table.metadata.drop_all(engine)
        engine.dispose()


def test_another_version_is_refused(url: str) -> None:
    Store.open(url).close()
    engine = create_engine(url.replace("postgresql://", "postgresql+pg8000://"))
    with engine.begin() as connection:
        connection.execute(text("UPDATE rejoinder_schema SET version = 99"))
    engine.dispose()
    with pytest.raises(SettingsError, match=r"version 99.* version 1.*begin another one"):
        Store.open(url)


@pytest.mark.parametrize("text_", ["a\0b", "\ud800", "ß 🎧 'x'; DROP TABLE rejoinder_turns", "\n"])
def test_any_text_can_be_kept(store: Store, text_: str) -> None:
    kept = store.get(store.add(turn(text=text_, slots={text_: text_})))
    assert kept is not None
    assert kept.turn.text in (text_, "ab", "?")


@given(said=st.text(max_size=50))
def test_an_error_does_not_quote_what_was_said(said: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("store") / "calls.db"
    store = Store.open(f"sqlite:///{file}")
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TABLE rejoinder_turns")
    connection.close()
    with pytest.raises(OperationalError) as failed:
        store.add(turn(text=f"SAID {said} SAID"))
    assert reason(failed.value) == "no such table: rejoinder_turns"
    assert "SAID" not in str(failed.value)
    store.close()


def test_only_root_reads_the_file(tmp_path: Path) -> None:
    Store.open(f"sqlite:///{tmp_path / 'calls.db'}").close()
    assert (tmp_path / "calls.db").stat().st_mode & 0o077 == 0


def test_what_is_deleted_is_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "calls.db"
    store = Store.open(f"sqlite:///{file}")
    store.add(turn(text="the very secret words"))
    assert b"the very secret words" in file.read_bytes()
    store.forget("call_a")
    store.close()
    assert b"the very secret words" not in file.read_bytes()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("calls.db", "write it as sqlite:///calls.db"),
        ("sqlite://", "needs a file"),
        ("oracle9://x", "no such kind of database"),
        ("sqlite:////nowhere/at/all/calls.db", "cannot be opened"),
        ("mysql+pymysql://a:secret@h/x", "pip install"),
        ("postgresql://a:secret@127.0.0.1:1/x", "cannot be opened"),
    ],
)
def test_a_wrong_url_is_said_without_its_password(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        Store.open(url)
    assert "secret" not in str(refused.value)


def test_what_is_no_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no database at all, but something else entirely" * 50)
    with pytest.raises(SettingsError, match="not a database"):
        Store.open(f"sqlite:///{file}")
    assert file.read_text().startswith("no database at all")


def test_what_may_pass_is_told_from_what_never_will() -> None:
    def error(kind: type[DBAPIError], code: str) -> DBAPIError:
        return kind("INSERT", None, Exception({"C": code, "M": "the words"}))

    assert may_pass(error(OperationalError, ""))
    assert may_pass(error(DBAPIError, "53100"))
    assert not may_pass(error(DBAPIError, "22001"))
    assert not may_pass(ValueError())
    assert "words" not in reason(error(DBAPIError, "53100"))
