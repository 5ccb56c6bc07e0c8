"""Adds the figures of past hours and days, unless a row changes while they are counted.

The builder marks a period, counts, and keeps the figures if its mark is still there. A trigger removes the
mark when a row of the period changes (`storage/schema/kept_figures.py`). Nothing is locked while the builder
counts.

On PostgreSQL a change may be in neither: its transaction made it before the mark was there, and commits it
after the rows were counted. So before the builder counts, it waits until all transactions have ended that
were running when it had marked the period. Then it waits once more: a transaction that began meanwhile may
not have seen what one of those had written about the same notification, and drops only the figures of
attempts that it sees.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    Connection,
    Executable,
    and_,
    bindparam,
    exists,
    func,
    not_,
    select,
    text,
    update,
)

from storage.engine.per_database import PerDatabase
from storage.engine.transaction import Transaction
from storage.schema.kept_figures import DAY, KEPT
from storage.schema.tables import notification_figures
from storage.sql.dialects import INSERTS
from storage.sql.types import in_utc
from storage.structs import struct

_f = notification_figures.c


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


_this_one = and_(_f.hours == _hours, _f.ends_at == _ends_at)


def _marking(dialect: str) -> Executable:
    values = select(_hours, _ends_at, _begins_at, _builder).where(
        text(KEPT[dialect]),
        # Otherwise it would wait for a transaction that is removing the row.
        not_(exists().where(_this_one)),
    )
    insert = INSERTS[dialect](notification_figures)
    insert = insert.from_select([_f.hours, _f.ends_at, _f.begins_at, _f.builder], values)
    return insert.on_conflict_do_nothing().returning(_f.hours)


def _taking_over(dialect: str) -> Executable:
    """Replaces the mark of another builder, which may have died."""
    marked = select(_f.hours).where(_this_one, _f.figures.is_(None), text(KEPT[dialect]))
    return (
        update(notification_figures)
        .where(_this_one, _f.hours == marked.with_for_update(skip_locked=True).scalar_subquery())
        .values(builder=_builder)
        .returning(_f.hours)
    )


_MARK = PerDatabase(sqlite=_marking("sqlite"), postgresql=_marking("postgresql"))
_TAKE_OVER = PerDatabase(sqlite=_taking_over("sqlite"), postgresql=_taking_over("postgresql"))
# A transaction that has removed the mark may take long to commit.
_ours = select(_f.hours).where(_this_one, _f.builder == _builder).with_for_update(skip_locked=True)
_KEEP = (
    update(notification_figures)
    .where(_this_one, _f.hours == _ours.scalar_subquery())
    .values(figures=bindparam("counted", type_=_f.figures.type), builder=None)
)
_NEWEST_TRANSACTION = select(func.txid_current())
_OLDEST_RUNNING = select(func.txid_snapshot_xmin(func.txid_current_snapshot()))


def mark(transaction: Transaction, wanted: Sequence[Sequence[FigurePeriod]]) -> list[tuple[Mark, ...]]:
    """Mark periods that are about to be counted, except those that have figures. None are marked if a trigger
    is missing."""
    return [
        tuple(
            mark
            for mark in (Mark(period, secrets.token_hex(8)) for period in periods)
            if _is_marked(transaction, mark)
        )
        for periods in wanted
    ]


def newest_transaction(transaction: Transaction, times: Sequence[None]) -> list[int | None]:
    """A number above those of all transactions that have changed something so far. None on SQLite, where no
    other transaction can be running."""
    return [transaction.choose(_NEWEST)(transaction.connection)] * len(times)


def have_ended(connection: Connection, before: int | None) -> bool:
    """Whether all transactions with lower numbers have ended, and this connection sees what they changed."""
    return before is None or bool(connection.execute(_OLDEST_RUNNING).scalar_one() >= before)


def keep(transaction: Transaction, counted: Sequence[Counted]) -> list[bool]:
    """Keep the figures of marked periods; False if one may have changed meanwhile."""
    return [
        transaction.connection.execute(_KEEP, {**_of(each.mark), "counted": each.figures}).rowcount > 0
        for each in counted
    ]


def _is_marked(transaction: Transaction, mark: Mark) -> bool:
    return any(
        transaction.connection.execute(transaction.choose(statement), _of(mark)).first() is not None
        for statement in (_MARK, _TAKE_OVER)
    )


def _of(mark: Mark) -> dict[str, object]:
    period = mark.period
    return {
        "in_hours": period.hours,
        "until": period.ends_at,
        "since": period.begins_at,
        "by": mark.builder,
    }


def _no_other(connection: Connection) -> int | None:
    return None


def _assigned(connection: Connection) -> int | None:
    number: int = connection.execute(_NEWEST_TRANSACTION).scalar_one()
    return number


_NEWEST = PerDatabase(sqlite=_no_other, postgresql=_assigned)
