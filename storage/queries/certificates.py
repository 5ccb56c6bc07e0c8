"""The state of notifications' certificates: one by one for a page, as counts for many."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.models import (
    CertificateStanding,
    Notification,
    NotificationFilter,
    Urgency,
    UrgencyCounts,
)
from storage.operations.certificates import ENDED, is_renewal, stands
from storage.queries.listing import conditions
from storage.schema.certctl_tables import certificates
from storage.schema.tables import notification_events
from storage.sql.types import UtcDateTime

_n = notification_events.c
_c = certificates.c


async def standings(
    connection: AsyncConnection, notifications: Sequence[Notification], *, beside_certctl: bool
) -> dict[str, CertificateStanding]:
    """By the id of the notification, without those whose certificate is unknown."""
    ids = {n.certificate_id for n in notifications if n.certificate_id is not None}
    if not ids:
        return {}
    if beside_certctl:
        return await _from_certctl(connection, notifications, ids)
    renewed = await _last_renewals(connection, ids)
    return {
        n.id: CertificateStanding(renewed=renewed[n.certificate_id] > n.created_at)
        for n in notifications
        if n.certificate_id in renewed
    }


async def urgency_counts(
    connection: AsyncConnection, wanted: NotificationFilter, until: datetime
) -> UrgencyCounts:
    """Counts of the matching notifications about certificates."""

    def number(urgency: Urgency) -> ColumnElement[int]:
        condition = stands(urgency, until, beside_certctl=wanted.beside_certctl)
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    query = select(number(Urgency.SETTLED), number(Urgency.OPEN), number(Urgency.URGENT))
    query = query.select_from(notification_events).where(*conditions(wanted))
    settled, still_open, urgent = (await connection.execute(query)).one()
    return UrgencyCounts(settled=settled, open=still_open, urgent=urgent)


async def _from_certctl(
    connection: AsyncConnection, notifications: Sequence[Notification], ids: Collection[str]
) -> dict[str, CertificateStanding]:
    query = select(_c.id, func.lower(_c.status).label("status"), _c.expires_at, _c.last_renewal_at)
    try:
        found = {row.id: row for row in await connection.execute(query.where(_c.id.in_(ids)))}
    except DBAPIError:
        return {}
    return {
        n.id: CertificateStanding(
            revoked=row.status in ENDED,
            renewed=row.last_renewal_at is not None and row.last_renewal_at > n.created_at,
            expires_at=row.expires_at,
        )
        for n in notifications
        if (row := found.get(n.certificate_id)) is not None
    }


async def _last_renewals(connection: AsyncConnection, ids: Collection[str]) -> dict[str | None, datetime]:
    query = (
        select(_n.certificate_id, func.max(_n.created_at, type_=UtcDateTime))
        .where(_n.certificate_id.in_(ids), is_renewal(_n.type))
        .group_by(_n.certificate_id)
    )
    found: dict[str | None, datetime] = dict((await connection.execute(query)).all())
    return found
