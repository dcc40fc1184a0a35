"""The database behind the store: SQLite by default, PostgreSQL or another one by its URL."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Engine, create_engine, delete, event, exists, insert, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session, joinedload

from rejoinder.errors import SettingsError
from rejoinder.serve.store.tables import VERSION, CorrectionRow, RecordingRow, SchemaRow, Table, TurnRow
from rejoinder.serve.store.turns import Correction, Kept, Turn, Verdict

BUSY_S = 5.0
"""How long a writer waits for another program that has the database locked, or for an answer of its server."""

PASSING = ("08", "40", "53", "57", "58")
"""Classes of PostgreSQL's errors that pass: connection, conflict, resources (a full disk), intervention, system."""

MOST_LOOKED_AT = 5_000
"""Turns that a review considers, the latest ones."""


class Store:
    """The turns. Every method may be called from any thread, and raises `SQLAlchemyError` when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> "Store":
        """Open the database at a URL of SQLAlchemy's, with its tables made where there are none.

        Raises `SettingsError` when it cannot be opened or holds something else; never shows the URL's password.
        """
        where = _checked(url)
        try:
            if where.get_backend_name() == "sqlite":
                _make_private(Path(str(where.database)))
            engine = _engine(where)
            try:
                _make_tables(engine, where)
            except BaseException:
                engine.dispose()
                raise
        except NoSuchModuleError as error:
            raise SettingsError(
                f"store: {_shown(where)}: there is no such kind of database; use sqlite:///…"
            ) from error
        except ModuleNotFoundError as error:
            raise SettingsError(f"store: {_shown(where)} needs a driver; type: pip install {error.name}") from error
        except OSError as error:
            raise SettingsError(f"store: {_shown(where)} cannot be opened ({error.strerror})") from error
        except SQLAlchemyError as error:
            raise SettingsError(f"store: {_shown(where)} cannot be opened ({reason(error)})") from error
        return cls(engine)

    def add(self, turn: Turn, flac: bytes | None = None) -> int:
        """Keep a turn, with the caller's audio if there is any; its id."""
        with self._session() as session:
            row = TurnRow(**_columns(turn), recording=RecordingRow(flac=flac) if flac is not None else None)
            session.add(row)
            session.flush()
            return row.id

    def get(self, turn: int) -> Kept | None:
        """One turn; None where there is no such."""
        return next(iter(self._kept(TurnRow.id == turn)), None)

    def call(self, call: str) -> Sequence[Kept]:
        """The turns of a call, in their order."""
        return self._kept(TurnRow.call == call)

    def latest(self, *, n: int = MOST_LOOKED_AT) -> Sequence[Kept]:
        """The latest `n` turns, call by call in the order in which they were said."""
        with self._session() as session:
            ids = list(session.scalars(select(TurnRow.id).order_by(TurnRow.id.desc()).limit(n)))
        return self._kept(TurnRow.id >= min(ids, default=0))

    def audio(self, turn: int) -> bytes | None:
        """What the caller said in a turn, as FLAC; None where it was not kept."""
        with self._session() as session:
            return session.scalar(select(RecordingRow.flac).where(RecordingRow.turn == turn))

    def correct(self, turn: int, correction: Correction) -> None:
        """Keep what the owner says about a turn, in place of what they said before."""
        with self._session() as session:
            session.merge(
                CorrectionRow(
                    turn=turn,
                    verdict=correction.verdict.value,
                    text=_clean(correction.text),
                    intent=correction.intent,
                    slots=_clean(dict(correction.slots)),
                    at=datetime.now(UTC),
                )
            )

    def forget(self, call: str) -> Sequence[str]:
        """Delete a call; for each of its turns, the call's id."""
        return self._forget(TurnRow.call == call)

    def forget_owner(self, owner: str) -> Sequence[str]:
        """Delete all calls made with the key of this name; for each of their turns, the call's id."""
        return self._forget(TurnRow.owner == owner)

    def forget_before(self, time: datetime) -> Sequence[str]:
        """Delete all turns that ended before a time; for each of them, its call's id."""
        return self._forget(TurnRow.at < time)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with Session(self._engine) as session, session.begin():
            yield session

    def _kept(self, which: ColumnElement[bool]) -> Sequence[Kept]:
        has_audio = exists().where(RecordingRow.turn == TurnRow.id)
        query = select(TurnRow, has_audio).where(which).options(joinedload(TurnRow.correction))
        with self._session() as session:
            found = session.execute(query.order_by(TurnRow.call, TurnRow.n, TurnRow.id)).unique()
            return [Kept(row.id, _turn(row), heard, _correction(row.correction)) for row, heard in found]

    def _forget(self, which: ColumnElement[bool]) -> Sequence[str]:
        with self._session() as session:  # the foreign keys take recordings and corrections along
            return list(session.scalars(delete(TurnRow).where(which).returning(TurnRow.call)))


def reason(error: BaseException) -> str:
    """Why the database failed, without the values that were to be written: they are what callers said."""
    if not isinstance(error, DBAPIError):
        return type(error).__name__
    if type(error.orig).__module__ == "sqlite3":
        return str(error.orig)  # SQLite's messages name tables and columns at most
    return f"{type(error.orig).__name__} {_sqlstate(error)}".strip()


def may_pass(error: BaseException) -> bool:
    """Whether the same write may succeed later: the disk is full, the database is locked, the server is gone."""
    if isinstance(error, OperationalError | InterfaceError):
        return True
    return isinstance(error, DBAPIError) and _sqlstate(error).startswith(PASSING)


def _sqlstate(error: DBAPIError) -> str:
    """PostgreSQL's code of an error, as pg8000 has it; empty elsewhere."""
    about = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return str(about.get("C", "")) if isinstance(about, dict) else ""


def _checked(url: str) -> URL:
    """The URL with the driver that Rejoinder comes with; raises `SettingsError` for one that will not do."""
    try:
        where = make_url(url)
    except SQLAlchemyError:  # its message would show a password
        raise SettingsError("store: this is no URL of a database; write it as sqlite:///calls.db") from None
    if where.drivername in ("postgresql", "postgres"):
        where = where.set(drivername="postgresql+pg8000")
    if where.get_backend_name() == "sqlite" and where.database in (None, "", ":memory:"):
        raise SettingsError("store: an SQLite database needs a file; write it as sqlite:///calls.db")
    return where


def _shown(where: URL) -> str:
    return where.render_as_string(hide_password=True)


def _make_private(file: Path) -> None:
    """Make the file before SQLite does, so that nobody else may read it."""
    if not file.exists():
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))


def _engine(where: URL) -> Engine:
    # An exception must not quote the values, which are what callers said.
    if where.get_backend_name() == "sqlite":
        engine = create_engine(where, hide_parameters=True, connect_args={"timeout": BUSY_S})
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    wait = {"timeout": BUSY_S} if where.get_driver_name() == "pg8000" else {}
    return create_engine(where, hide_parameters=True, pool_pre_ping=True, connect_args=wait)


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten, not only unlinked


def _make_tables(engine: Engine, where: URL) -> None:
    """Make the tables in an empty database; raises `SettingsError` where it holds those of another version."""
    if not _has_tables(engine):
        try:
            with engine.begin() as connection:  # the version with them: who sees the tables sees it
                Table.metadata.create_all(connection)
                connection.execute(insert(SchemaRow).values(version=VERSION))
            return
        except DBAPIError:
            if not _has_tables(engine):  # otherwise another server was faster
                raise
    with Session(engine) as session:
        version = session.scalar(select(SchemaRow.version))
    if version != VERSION:
        raise SettingsError(
            f"store: {_shown(where)} is of version {version}, and this Rejoinder writes version {VERSION}; keep it for "
            "the Rejoinder that wrote it, and begin another one: --store sqlite:///calls-new.db"
        )


def _has_tables(engine: Engine) -> bool:
    return inspect(engine).has_table(SchemaRow.__tablename__)


def _columns(turn: Turn) -> dict[str, Any]:
    return {name: _clean(value) for name, value in asdict(turn).items()}


def _clean(value: Any) -> Any:
    """A value that every database takes: no NUL, which PostgreSQL refuses, and no half of a surrogate pair."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode().replace("\0", "")
        case dict():
            return {_clean(name): _clean(item) for name, item in value.items()}
        case tuple() | list():
            return [_clean(item) for item in value]
    return value


def _turn(row: TurnRow) -> Turn:
    values = {one.name: getattr(row, one.name) for one in fields(Turn)}
    return Turn(**{**values, "failed": tuple(row.failed)})


def _correction(row: CorrectionRow | None) -> Correction | None:
    if row is None:
        return None
    return Correction(verdict=Verdict(row.verdict), text=row.text, intent=row.intent, slots=row.slots)
