"""Conditions on the state of a notification's certificate.

On certctl's database they use its table of certificates; elsewhere, a later RenewalSuccess for the
certificate."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, literal_column, not_, or_, select

from storage.alert_tiers import THRESHOLD
from storage.models import NotificationType, Urgency
from storage.schema.certctl_tables import certificates
from storage.schema.tables import RENEWAL_SUCCESS, notification_events

CHECKED_WITHIN = timedelta(days=31)
"""certctl alerts on certificates that expire within this time."""

_UNCHECKED = ("Archived", "Revoked")
ENDED = ("revoked", "archived")
"""certctl's statuses of a certificate no longer in use, in lower case."""

_n = notification_events.c
_c = certificates.c
_later = notification_events.alias("later")

_IS_ITS_CERTIFICATE = _c.id == _n.certificate_id


def has_urgency(urgency: Urgency, until: datetime | None, *, beside_certctl: bool) -> ColumnElement[bool]:
    """The notification is about a certificate in this state. Without certctl, every open one is urgent."""
    settled = _settled_in_certctl() if beside_certctl else _renewed_later()
    if urgency is Urgency.SETTLED:
        return settled
    still_open = and_(_n.certificate_id.is_not(None), not_(settled))
    if urgency is Urgency.OPEN or not beside_certctl or until is None:
        return still_open
    expiring = select(_c.id).where(_IS_ITS_CERTIFICATE, _c.expires_at < until).exists()
    return and_(still_open, expiring)


def is_renewal(notification_type: ColumnElement[str]) -> ColumnElement[bool]:
    # A literal, as in the predicate of the index.
    return notification_type == literal_column(f"'{RENEWAL_SUCCESS}'")


def remembered_by_certctl() -> ColumnElement[bool]:
    """certctl searches for this notification before it alerts on the same threshold again. Only for certctl's
    database."""
    checked = select(_c.id).where(
        _IS_ITS_CERTIFICATE, _c.status.not_in(_UNCHECKED), _c.expires_at < func.now() + CHECKED_WITHIN
    )
    return and_(
        _n.type == NotificationType.EXPIRATION_WARNING.value,
        _n.message.contains(THRESHOLD, autoescape=True),
        checked.exists(),
    )


def _settled_in_certctl() -> ColumnElement[bool]:
    settled = or_(func.lower(_c.status).in_(ENDED), _c.last_renewal_at > _n.created_at)
    return select(_c.id).where(_IS_ITS_CERTIFICATE, settled).exists()


def _renewed_later() -> ColumnElement[bool]:
    return (
        select(_later.c.id)
        .where(
            _later.c.certificate_id == _n.certificate_id,
            _later.c.created_at > _n.created_at,
            is_renewal(_later.c.type),
        )
        .exists()
    )
