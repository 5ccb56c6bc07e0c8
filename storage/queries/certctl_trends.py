"""certctl's certificates by status, and its certificates and jobs by day, from certctl's own tables.

Like the counts of its inventory, each is None where the table can't be read.
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, case, func, select
from sqlalchemy.exc import DBAPIError

from storage.queries.certctl_inventory import EXPIRING_WITHIN
from storage.schema.certctl_tables import certificates, jobs
from storage.sql.dialects import day_of

MAX_STATUSES = 100
"""A status may be any text."""

_c = certificates.c
_j = jobs.c


def certificates_by_status(connection: Connection, now: datetime) -> Mapping[str, int] | None:
    """Counts by status, in lower case. An active one is expired or expiring by its time, as in certctl."""
    status = func.lower(_c.status)
    shown = case(
        (status.not_in(("", "active")), status),
        (_c.expires_at < now, "expired"),
        (_c.expires_at < now + EXPIRING_WITHIN, "expiring"),
        else_="active",
    ).label("shown")
    return _counts(connection, select(shown, func.count()).group_by(shown).limit(MAX_STATUSES))


def expirations_by_day(connection: Connection, since: datetime, until: datetime) -> Mapping[str, int] | None:
    """The certificates that expire after `since` and before `until`."""
    return _by_day(connection, _c.expires_at, _c.expires_at > since, _c.expires_at < until)


def issued_by_day(connection: Connection, since: datetime) -> Mapping[str, int] | None:
    """The certificates that were added from `since` on."""
    return _by_day(connection, _c.created_at, _c.created_at >= since)


def jobs_by_day(connection: Connection, since: datetime, status: str) -> Mapping[str, int] | None:
    """The jobs that ended with this status from `since` on."""
    return _by_day(connection, _j.completed_at, _j.status == status, _j.completed_at >= since)


def _by_day(
    connection: Connection, moment: ColumnElement[datetime], *conditions: ColumnElement[bool]
) -> Mapping[str, int] | None:
    day = day_of(moment).label("day")
    return _counts(connection, select(day, func.count()).where(*conditions).group_by(day))


def _counts(connection: Connection, query: Select[str, int]) -> Mapping[str, int] | None:
    try:
        found: dict[str, int] = dict(connection.execute(query).all())
    except DBAPIError:
        return None
    return found
