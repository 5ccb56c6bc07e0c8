"""Counts of certificates, agents and jobs from certctl's own tables, which only certctl writes.

A database of this program alone has none of these tables.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, TableClause, and_, case, func, not_, or_, select
from sqlalchemy.exc import DBAPIError

from storage.schema.certctl_tables import agents, certificates, jobs

EXPIRING_WITHIN = timedelta(days=30)
ALIVE_WITHIN = timedelta(minutes=5)
PENDING_JOBS = ("Pending", "AwaitingCSR", "AwaitingApproval", "Running")


def count_certificates(connection: Connection, now: datetime) -> Mapping[str, int] | None:
    """Counts by their field in the dashboard summary; None where certctl's table can't be read."""
    status = func.lower(certificates.c.status)
    expires_at = certificates.c.expires_at
    revoked = status == "revoked"
    expired = and_(not_(revoked), or_(status == "expired", expires_at < now))
    expiring = and_(not_(revoked), status != "expired", expires_at > now, expires_at < now + EXPIRING_WITHIN)
    return _counts(
        connection,
        certificates,
        "total_certificates",
        {
            "expiring_certificates": expiring,
            "expired_certificates": expired,
            "revoked_certificates": revoked,
        },
    )


def count_agents(connection: Connection, now: datetime) -> Mapping[str, int] | None:
    """Counts by their field in the dashboard summary; None where certctl's table can't be read.

    Agents that were retired are not counted, as in certctl.
    """
    alive = func.coalesce(agents.c.last_heartbeat_at > now - ALIVE_WITHIN, False)
    kinds = {"active_agents": alive, "offline_agents": not_(alive)}
    counts = _counts(connection, agents, "total_agents", kinds, agents.c.retired_at.is_(None))
    if counts is None:
        # Early versions of certctl have no such column. After an error, nothing can be read until a rollback.
        connection.rollback()
        counts = _counts(connection, agents, "total_agents", kinds)
    return counts


def count_jobs(connection: Connection, now: datetime) -> Mapping[str, int] | None:
    """Counts by their field in the dashboard summary; None where certctl's table can't be read."""
    status = jobs.c.status
    return _counts(
        connection,
        jobs,
        None,
        {
            "pending_jobs": status.in_(PENDING_JOBS),
            "failed_jobs": status == "Failed",
            "complete_jobs": status == "Completed",
        },
    )


def _counts(
    connection: Connection,
    rows: TableClause,
    total: str | None,
    kinds: Mapping[str, ColumnElement[bool]],
    *of: ColumnElement[bool],
) -> Mapping[str, int] | None:
    counts = [
        func.coalesce(func.sum(case((kind, 1), else_=0)), 0).label(name) for name, kind in kinds.items()
    ]
    if total is not None:
        counts.append(func.count().label(total))
    try:
        result = connection.execute(select(*counts).select_from(rows).where(*of))
    except DBAPIError:
        return None
    return dict(result.mappings().one())
