"""The statuses to which each bulk action can be applied, and its default."""

from collections.abc import Mapping
from datetime import datetime

from certctl_mcp.services.filters import FilterError
from storage.models import AuditAction, NotificationFilter, NotificationStatus
from storage.operations.actions import ELIGIBLE

DEFAULT: Mapping[AuditAction, tuple[NotificationStatus, ...]] = {
    AuditAction.REQUEUE: (NotificationStatus.DEAD,),
    AuditAction.MARK_READ: (NotificationStatus.DEAD,),
    AuditAction.PURGE: (NotificationStatus.SENT, NotificationStatus.READ),
}
"""The statuses that each action selects if none is given. Ids select any status, except for a purge."""

_CONDITIONS = frozenset(NotificationFilter.model_fields) - {"statuses", "urgent_until"}


def bulk_filter(action: AuditAction, wanted: NotificationFilter, now: datetime) -> NotificationFilter:
    """`wanted` with the action's default statuses, and without what is accepted after `now`.

    Raises:
        FilterError: it selects a status to which the action does not apply, or lacks a condition that the
        action requires.
    """
    for status in wanted.statuses:
        if status not in (allowed := ELIGIBLE[action].possible_statuses):
            raise FilterError(
                "status", f"{action.value} does not apply to {status.value}; allowed: {', '.join(allowed)}"
            )
    given = {name for name in _CONDITIONS if getattr(wanted, name)}
    if action is AuditAction.MARK_READ and not given:
        raise FilterError(
            "ids", "give ids, or select by channel, type, text, created_before or another filter"
        )
    if action is AuditAction.PURGE and not given & {"created_until", "ids"}:
        raise FilterError("created_before", "give one, such as 30d; anything accepted later is kept")
    default = () if wanted.ids and action is not AuditAction.PURGE else DEFAULT[action]
    return wanted.model_copy(
        update={
            "statuses": wanted.statuses or default,
            "created_until": min(wanted.created_until or now, now),
        }
    )
