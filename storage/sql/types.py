"""Column types that mean the same in both databases: storable text, times in UTC, durations."""

from datetime import MINYEAR, UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Dialect, Float, String, Text, types

from storage.sql.text import is_storable


class StorableText(types.TypeDecorator[str]):
    """Text. A value that no database can store matches nothing, instead of causing an error in the driver."""

    impl: type[String] = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value if value is not None and is_storable(value) else None


class ShortText(StorableText):
    """Text of limited length."""

    impl = String
    cache_ok = True


class UtcDateTime(types.TypeDecorator[datetime]):
    """A time in UTC; in SQLite text of fixed width, which sorts and compares like the times."""

    impl = types.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(types.String(32))
        return dialect.type_descriptor(types.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        if value is None:
            return None
        return sortable(value) if dialect.name == "sqlite" else in_utc(value)

    def process_result_value(self, value: datetime | str | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = known(datetime.fromisoformat(value) if isinstance(value, str) else value)
        # SQLite's CURRENT_TIMESTAMP, which other programs write, is UTC without a time zone.
        return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


class Seconds(types.TypeDecorator[timedelta]):
    """A duration, as a number of seconds."""

    impl = Float
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: Dialect) -> float | None:
        return None if value is None else value.total_seconds()

    def process_result_value(self, value: float | None, dialect: Dialect) -> timedelta | None:
        return None if value is None else timedelta(seconds=value)


def known(moment: datetime | None) -> datetime | None:
    """The time as stored, or None. certctl's server writes Go's zero time for none."""
    return None if moment is None or moment.year == MINYEAR else moment


def in_utc(moment: datetime) -> datetime:
    """The time in UTC, clamped to the range of `datetime`."""
    if moment.tzinfo is UTC:
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return (datetime.min if moment.year == datetime.min.year else datetime.max).replace(tzinfo=UTC)


def sortable(moment: datetime) -> str:
    """The time as SQLite stores it: UTC, microseconds, 32 characters."""
    return in_utc(moment).isoformat(timespec="microseconds")
