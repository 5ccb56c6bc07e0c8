"""How many match? Every page of a list asks anew: counted once, and remembered while nothing has changed."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Database
from storage.models import NotificationFilter, NotificationStatus
from storage.queries.listing import conditions
from storage.queries.lookups import MOST_NAMES
from storage.schema.tables import notification_events
from storage.sql.distinct import distinct

MOST_REMEMBERED = 64

_n = notification_events.c
_STATUSES = distinct(_n.status).limit(MOST_NAMES)


class Counting:
    """Counts, of which the newest are remembered until anything is committed by anyone."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._version: int | None = None
        self._counted: dict[NotificationFilter, int] = {}

    async def count(self, wanted: NotificationFilter) -> int:
        # Looked at before counting: what is committed meanwhile makes the count forgotten, not wrong.
        version = await self._database.changes.data_version()
        if version is None or version != self._version:
            self._version = version
            self._counted.clear()
        if wanted in self._counted:
            return self._counted[wanted]
        async with self._database.read() as connection:
            found = await count(connection, wanted)
        if version is not None and version == self._version:
            if len(self._counted) >= MOST_REMEMBERED:
                del self._counted[next(iter(self._counted))]
            self._counted[wanted] = found
        return found


async def count(connection: AsyncConnection, wanted: NotificationFilter) -> int:
    """Rows in statuses of other programs, of which there are hardly ever any, are taken off again: to look
    at the status of every row costs ten times as much as to count an index."""
    matching = select(func.count()).select_from(notification_events).where(*conditions(wanted))
    found: int = (await connection.execute(matching)).scalar_one()
    if not wanted.statuses:
        statuses = (await connection.execute(_STATUSES)).scalars()
        if foreign := set(statuses).difference(NotificationStatus):
            found -= (await connection.execute(matching.where(_n.status.in_(foreign)))).scalar_one()
    return found
