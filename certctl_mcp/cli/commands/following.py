"""Follows a filter: yields notifications as they begin to match."""

from collections.abc import AsyncIterator, Sequence

import anyio

from storage.models import Notification, NotificationFilter
from storage.reader import NotificationReader

WINDOW = 500
"""How many of the newest matches are read after each change."""

_REMEMBERED = 20 * WINDOW
_PAUSE = 0.2
"""Seconds between two polls, however busy the queue."""


async def follow_matches(
    repository: NotificationReader, wanted: NotificationFilter, shown: Sequence[Notification]
) -> AsyncIterator[list[Notification]]:
    """Notifications that have begun to match since a page was `shown` (newest first), in batches, each oldest
    first.

    A notification that changes its status counts as another one.
    """
    version = repository.changes.version
    page = await repository.list(wanted, limit=WINDOW)
    newest = (shown[0].created_at, shown[0].id) if shown else None
    # Whatever the page left out is older than everything on it.
    new = [n for n in page.items if newest is None or (n.created_at, n.id) > newest]
    seen = dict.fromkeys(map(_key, page.items))
    while True:
        if new:
            yield new[::-1]
        await anyio.sleep(_PAUSE)
        version = await repository.changes.wait_beyond(version)
        page = await repository.list(wanted, limit=WINDOW)
        new = [notification for notification in page.items if _key(notification) not in seen]
        seen |= dict.fromkeys(map(_key, page.items))
        for old in list(seen)[: max(0, len(seen) - _REMEMBERED)]:
            del seen[old]


def _key(notification: Notification) -> tuple[str, str]:
    return notification.id, notification.status.value
