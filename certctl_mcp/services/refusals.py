"""Why an action on several notifications doesn't change some of them."""

from collections.abc import Sequence

from certctl_mcp.services.id_lookup import MAX_SUGGESTIONS, IdLookup
from storage.errors import NotificationConflictError, NotificationNotFoundError
from storage.models import AuditAction, NotificationState
from storage.operations.actions import ELIGIBLE
from storage.operations.requeue import UNDER_WAY
from storage.reader import NotificationReader

Refusal = NotificationConflictError | NotificationNotFoundError


async def refusals(
    repository: NotificationReader, lookup: IdLookup, action: AuditAction, ids: Sequence[str]
) -> tuple[Refusal, ...]:
    """Why `action` can't be done to some of up to 500 notifications, in the order of `ids`."""
    states = {state.id: state for state in await repository.states(ids)}
    found: list[Refusal] = []
    missing = 0
    for each in ids:
        state = states.get(each)
        if state is not None:
            found += filter(None, [_conflict(action, state)])
        elif (missing := missing + 1) <= MAX_SUGGESTIONS:
            found.append(await lookup.not_found(each))
        else:
            found.append(NotificationNotFoundError(each))
    return tuple(found)


def _conflict(action: AuditAction, state: NotificationState) -> NotificationConflictError | None:
    rule = ELIGIBLE[action]
    if state.status is rule.done_already:
        return None
    if state.under_way:
        return NotificationConflictError(state.id, state.status, UNDER_WAY)
    if rule.includes(state.status, undelivered=state.undelivered):
        return None
    return NotificationConflictError(state.id, state.status, rule.refusal)
