"""The state of notifications' certificates: individually for a page, as counts for many notifications."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, case, func, select
from sqlalchemy.exc import DBAPIError

from storage.models import (
    CertificateState,
    Notification,
    NotificationFilter,
    Urgency,
    UrgencyCounts,
)
from storage.operations.certificates import ENDED, has_urgency, is_renewal
from storage.queries.listing import conditions
from storage.schema.certctl_tables import certificates
from storage.schema.tables import notification_events
from storage.sql.types import UtcDateTime

_n = notification_events.c
_c = certificates.c


def certificate_states(
    connection: Connection, notifications: Sequence[Notification], *, beside_certctl: bool
) -> dict[str, CertificateState]:
    """The states by notification id, without those whose certificate is unknown."""
    ids = {n.certificate_id for n in notifications if n.certificate_id is not None}
    if not ids:
        return {}
    if beside_certctl:
        return _from_certctl(connection, notifications, ids)
    renewed = _last_renewals(connection, ids)
    return {
        n.id: CertificateState(renewed=renewed[n.certificate_id] > n.created_at)
        for n in notifications
        if n.certificate_id in renewed
    }


def urgency_counts(connection: Connection, wanted: NotificationFilter, until: datetime) -> UrgencyCounts:
    """Counts of the matching notifications about certificates."""

    def number(urgency: Urgency) -> ColumnElement[int]:
        condition = has_urgency(urgency, until, beside_certctl=wanted.beside_certctl)
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    query = select(number(Urgency.SETTLED), number(Urgency.OPEN), number(Urgency.URGENT))
    query = query.select_from(notification_events).where(*conditions(wanted))
    settled, still_open, urgent = connection.execute(query).one()
    return UrgencyCounts(settled=settled, open=still_open, urgent=urgent)


def _from_certctl(
    connection: Connection, notifications: Sequence[Notification], ids: Collection[str]
) -> dict[str, CertificateState]:
    query = select(_c.id, func.lower(_c.status).label("status"), _c.expires_at, _c.last_renewal_at)
    try:
        found = {row.id: row for row in connection.execute(query.where(_c.id.in_(ids)))}
    except DBAPIError:
        return {}
    return {
        n.id: CertificateState(
            revoked=row.status in ENDED,
            renewed=row.last_renewal_at is not None and row.last_renewal_at > n.created_at,
            expires_at=row.expires_at,
        )
        for n in notifications
        if (row := found.get(n.certificate_id)) is not None
    }


def _last_renewals(connection: Connection, ids: Collection[str]) -> dict[str | None, datetime]:
    query = (
        select(_n.certificate_id, func.max(_n.created_at, type_=UtcDateTime))
        .where(_n.certificate_id.in_(ids), is_renewal(_n.type))
        .group_by(_n.certificate_id)
    )
    found: dict[str | None, datetime] = dict(connection.execute(query).all())
    return found
