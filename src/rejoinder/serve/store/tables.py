"""The store's tables."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, Index, LargeBinary
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

VERSION = 1
"""Of these tables; raise it with every change, and say in `database` how to come from the one before."""


class Utc(TypeDecorator[datetime]):
    """A time in UTC: SQLite forgets the time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To the database."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From the database."""
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


class Table(DeclarativeBase):
    """What the tables have in common."""

    type_annotation_map = {datetime: Utc, dict[str, Any]: JSON, list[str]: JSON}  # noqa: RUF012


class SchemaRow(Table):
    """One row: the version of the tables."""

    __tablename__ = "rejoinder_schema"

    version: Mapped[int] = mapped_column(primary_key=True)


class TurnRow(Table):
    """See `turns.Turn`."""

    __tablename__ = "rejoinder_turns"
    __table_args__ = (Index("rejoinder_turns_call", "call", "n"), Index("rejoinder_turns_at", "at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    call: Mapped[str]
    door: Mapped[str]
    owner: Mapped[str | None]
    n: Mapped[int]
    at: Mapped[datetime]
    text: Mapped[str]
    text_confidence: Mapped[float]
    intent: Mapped[str | None]
    confidence: Mapped[float]
    slots: Mapped[dict[str, Any]]
    source: Mapped[str]
    reply: Mapped[str]
    typed: Mapped[bool]
    draft_hit: Mapped[bool]
    cut_off: Mapped[bool]
    interrupted: Mapped[bool]
    n_backchannels: Mapped[int]
    failed: Mapped[list[str]]
    action: Mapped[str | None]
    action_ok: Mapped[bool | None]
    ended: Mapped[str | None]
    silence_s: Mapped[float]
    first_audio_s: Mapped[float | None]
    timings_s: Mapped[dict[str, Any]]

    recording: Mapped["RecordingRow | None"] = relationship(cascade="all, delete-orphan", passive_deletes=True)
    correction: Mapped["CorrectionRow | None"] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, lazy="joined"
    )


class RecordingRow(Table):
    """What the caller said in a turn, as FLAC, mono at `audio.SAMPLE_RATE`."""

    __tablename__ = "rejoinder_recordings"

    turn: Mapped[int] = mapped_column(ForeignKey("rejoinder_turns.id", ondelete="CASCADE"), primary_key=True)
    flac: Mapped[bytes] = mapped_column(LargeBinary)


class CorrectionRow(Table):
    """See `turns.Correction`."""

    __tablename__ = "rejoinder_corrections"

    turn: Mapped[int] = mapped_column(ForeignKey("rejoinder_turns.id", ondelete="CASCADE"), primary_key=True)
    verdict: Mapped[str]
    text: Mapped[str]
    intent: Mapped[str | None]
    slots: Mapped[dict[str, Any]]
    at: Mapped[datetime]
