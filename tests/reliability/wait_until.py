"""Waits for a state of the queue, checked after every change to the database."""

import asyncio
from collections.abc import Awaitable, Callable

from storage.database import Database
from storage.models import NotificationStatus
from storage.repository import NotificationRepository
from tests.reliability.fleet import PATIENCE


async def wait_until(database: Database, condition: Callable[[], Awaitable[bool]]) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(PATIENCE.total_seconds()):
        version = database.changes.version
        while not await condition():
            version = await database.changes.wait_beyond(version)


async def wait_until_sent(database: Database, number: int) -> None:
    repository = NotificationRepository(database)

    async def sent() -> bool:
        return (await repository.count_by_status())[NotificationStatus.SENT] >= number

    await wait_until(database, sent)
