"""Adds the figures of a past hour or day, unless a row changes while they are counted.

There are three steps, so that counting locks nothing, however long it takes: the builder marks the period,
counts, and keeps the figures if its mark is still there. A trigger removes the mark when a row of the period
changes (`storage/schema/kept_figures.py`).

On PostgreSQL a transaction that had changed rows before the period was marked, and commits after they were
counted, is in neither. It shares a lock for each hour that it has changed. So a builder marks and keeps
figures only while it has these locks for itself, for the time of one short transaction, and gives up
otherwise.
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    Connection,
    Executable,
    Integer,
    bindparam,
    cast,
    func,
    literal,
    select,
    text,
    update,
)

from storage.engine.per_database import PerDatabase
from storage.engine.transaction import Transaction
from storage.schema.kept_figures import DAY, HOURS_APART, KEPT, LOCKS
from storage.schema.tables import notification_figures
from storage.sql.dialects import INSERTS
from storage.sql.json_rows import Batch, encoded
from storage.sql.types import in_utc
from storage.structs import struct

_f = notification_figures.c
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@struct
class FigurePeriod:
    """A whole hour or day in UTC."""

    begins_at: datetime
    hours: int

    @property
    def ends_at(self) -> datetime:
        return self.begins_at + timedelta(hours=self.hours)


def day_of(moment: datetime) -> FigurePeriod:
    """The day that contains this moment."""
    return FigurePeriod(in_utc(moment).replace(hour=0, minute=0, second=0, microsecond=0), DAY)


@struct
class Mark:
    """A period that one builder is counting."""

    period: FigurePeriod
    builder: str


@struct
class Counted:
    """The figures of a marked period, as they are stored."""

    mark: Mark
    figures: str


_hours = bindparam("in_hours", type_=_f.hours.type)
_ends_at = bindparam("until", type_=_f.ends_at.type)
_begins_at = bindparam("since", type_=_f.begins_at.type)
_builder = bindparam("by", type_=_f.builder.type)


def _marking(dialect: str) -> Executable:
    columns = [_f.hours, _f.ends_at, _f.begins_at, _f.builder]
    insert = INSERTS[dialect](notification_figures).from_select(
        columns, select(_hours, _ends_at, _begins_at, _builder).where(text(KEPT[dialect]))
    )
    return insert.on_conflict_do_update(
        index_elements=[_f.hours, _f.ends_at],
        set_={"builder": insert.excluded.builder},
        # A builder that died has left its mark.
        where=_f.figures.is_(None),
    ).returning(_f.hours)


_MARK = PerDatabase(sqlite=_marking("sqlite"), postgresql=_marking("postgresql"))
_KEEP = (
    update(notification_figures)
    .where(_f.hours == _hours, _f.ends_at == _ends_at, _f.builder == _builder)
    .values(figures=bindparam("counted", type_=_f.figures.type), builder=None)
)
_key = cast(Batch("keys").values, Integer)
_LOCK = select(func.bool_and(func.pg_try_advisory_xact_lock(literal(LOCKS, Integer), _key)))


def mark(transaction: Transaction, periods: Sequence[FigurePeriod]) -> list[Mark | None]:
    """Mark periods that are about to be counted. None: there are figures, or the triggers are missing, or
    another transaction is changing the period."""
    statement = transaction.choose(_MARK)
    marks: list[Mark | None] = []
    for period in periods:
        mark = Mark(period, secrets.token_hex(8))
        marked = (
            transaction.choose(_LOCKED)(transaction.connection, period)
            and transaction.connection.execute(statement, _of(mark)).first() is not None
        )
        marks.append(mark if marked else None)
    return marks


def keep(transaction: Transaction, counted: Sequence[Counted]) -> list[bool]:
    """Keep the figures of marked periods; False if one may have changed meanwhile."""
    return [
        transaction.choose(_LOCKED)(transaction.connection, each.mark.period)
        and transaction.connection.execute(_KEEP, {**_of(each.mark), "counted": each.figures}).rowcount > 0
        for each in counted
    ]


def _of(mark: Mark) -> dict[str, object]:
    period = mark.period
    return {
        "in_hours": period.hours,
        "until": period.ends_at,
        "since": period.begins_at,
        "by": mark.builder,
    }


def _alone(connection: Connection, period: FigurePeriod) -> bool:
    """SQLite has one writer at a time."""
    return True


def _locked(connection: Connection, period: FigurePeriod) -> bool:
    """Lock every hour of the period, unless another transaction has a lock."""
    first = (period.begins_at - _EPOCH) // timedelta(hours=1)
    keys = encoded((first + hour) % HOURS_APART for hour in range(period.hours))
    return bool(connection.execute(_LOCK, {"keys": keys}).scalar_one())


_LOCKED = PerDatabase(sqlite=_alone, postgresql=_locked)
