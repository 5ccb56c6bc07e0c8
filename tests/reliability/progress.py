"""How far has the queue come? Asked whenever some process has written to it."""

import asyncio
from collections.abc import Awaitable, Callable

from storage.database import Database
from storage.models import NotificationStatus
from storage.repository import NotificationRepository
from tests.reliability.fleet import PATIENCE


async def until(database: Database, so: Callable[[], Awaitable[bool]]) -> None:
    """Return once it is so."""
    async with asyncio.timeout(PATIENCE.total_seconds()):
        version = database.changes.version
        while not await so():
            version = await database.changes.wait_beyond(version)


async def until_sent(database: Database, number: int) -> None:
    repository = NotificationRepository(database)

    async def sent() -> bool:
        return (await repository.count_by_status())[NotificationStatus.SENT] >= number

    await until(database, sent)
