"""Counts of matching notifications. Every page of a list needs one, so they are cached until data changes."""

from sqlalchemy import Connection, func, select

from storage.database import Database
from storage.models import NotificationFilter
from storage.queries.kept_counts import count_kept
from storage.queries.listing import conditions, resolved
from storage.schema.tables import notification_events

MAX_CACHED = 64


class CachedCounts:
    """Counts. The newest are cached until any process commits a change."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._version: int | None = None
        self._cache: dict[NotificationFilter, int] = {}

    async def count(self, wanted: NotificationFilter) -> int:
        if wanted.urgency is not None or wanted.remembered is not None:
            # certctl changes certificates without changing the queue.
            return await self._database.read(count, wanted)
        # Read before counting, so that a commit in between drops the count instead of making it wrong.
        version = await self._database.changes.data_version()
        if version is None or version != self._version:
            self._version = version
            self._cache.clear()
        if wanted in self._cache:
            return self._cache[wanted]
        found = await self._database.read(count, wanted)
        if version is not None and version == self._version:
            if len(self._cache) >= MAX_CACHED:
                del self._cache[next(iter(self._cache))]
            self._cache[wanted] = found
        return found


def count(connection: Connection, wanted: NotificationFilter) -> int:
    """The exact number: from the counts that triggers keep, if they can answer it."""
    kept = count_kept(connection, wanted)
    if kept is not None:
        return kept
    wanted = resolved(connection, wanted)
    matching = select(func.count()).select_from(notification_events).where(*conditions(wanted))
    found: int = connection.execute(matching).scalar_one()
    return found
