"""Dead and failing notifications in groups with the same error, so that thousands are read as a few."""

from typing import Any

from sqlalchemy import Connection, Integer, Select, case, exists, func, select

from storage.models import AuditAction, FailureGroup, NotificationFilter
from storage.operations.actions import ELIGIBLE
from storage.operations.eligible import undelivered
from storage.queries.listing import conditions
from storage.schema.tables import notification_attempts, notification_events
from storage.sql.dialects import hour_of
from storage.sql.types import UtcDateTime

ERROR = 300
"""How many characters of an error distinguish one group from another."""

FAILING = ELIGIBLE[AuditAction.REQUEUE].possible_statuses
"""Notifications that can be requeued: dead and failed ones, and those that count as sent although nothing was
delivered."""

_n = notification_events.c
_a = notification_attempts.c
_r = notification_events.alias("replacement").c


def failure_query(wanted: NotificationFilter, limit: int) -> Select[Any]:
    """The groups, largest first. `wanted` has only statuses of `FAILING`."""
    newest = (
        select(_a.started_at)
        .where(_a.notification_id == _n.id)
        .order_by(_a.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    failing = (
        select(
            _n.id,
            _n.channel,
            _n.status,
            func.substr(case((undelivered(), _n.error), else_=_n.last_error), 1, ERROR).label("error"),
            (_n.abandoned_count > 0).label("abandoned"),
            exists().where(_r.origin_id == _n.id, _r.sent_at.is_not(None)).label("replaced"),
            func.coalesce(newest, _n.created_at).label("failed_at"),
            _n.created_at,
        )
        .where(*conditions(wanted))
        .cte("failing")
        # Otherwise PostgreSQL would look up the newest attempt wherever it is mentioned.
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    f = failing.c
    number = func.count()
    return (
        select(
            f.channel,
            f.status,
            f.error,
            f.abandoned,
            number.label("count"),
            func.sum(case((f.replaced, 1), else_=0)).cast(Integer).label("replaced"),
            func.min(f.failed_at, type_=UtcDateTime).label("first_at"),
            func.max(f.failed_at, type_=UtcDateTime).label("last_at"),
            func.min(f.created_at, type_=UtcDateTime).label("accepted_first_at"),
            func.max(f.created_at, type_=UtcDateTime).label("accepted_last_at"),
            func.min(f.id).label("sample_id"),
        )
        .group_by(f.channel, f.status, f.error, f.abandoned, hour_of(f.failed_at))
        .order_by(number.desc(), "sample_id")
        .limit(limit)
    )


def failure_groups(
    connection: Connection, wanted: NotificationFilter, limit: int
) -> tuple[FailureGroup, ...]:
    statuses = tuple(status for status in wanted.statuses or FAILING if status in FAILING)
    if not statuses:
        return ()
    failing = wanted.model_copy(update={"statuses": statuses, "eligible_for": AuditAction.REQUEUE})
    rows = connection.execute(failure_query(failing, limit))
    return tuple(FailureGroup.model_validate(dict(row)) for row in rows.mappings())
