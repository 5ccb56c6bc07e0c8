"""The contents of the database of another process."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable

from storage.clock import utc_now
from storage.database import Database
from storage.repository import NotificationRepository
from tests.builders import Queue, SettableClock


def dead_letters(environment: dict[str, str], count: int) -> None:
    async def make(queue: Queue) -> None:
        for _ in range(count):
            await queue.dead("HTTP 410: gone")

    fill(environment["CERTCTL_DATABASE_URL"], make)


def fill(url: str, make: Callable[[Queue], Awaitable[None]]) -> None:
    async def filled() -> None:
        clock = SettableClock(utc_now())
        async with Database.open(url, clock=clock) as database:
            await make(Queue(NotificationRepository(database), clock))

    asyncio.run(filled())


def statuses(environment: dict[str, str]) -> set[str]:
    path = environment["CERTCTL_DATABASE_URL"].removeprefix("sqlite:///")
    connection = sqlite3.connect(path)
    found = {status for (status,) in connection.execute("SELECT status FROM notification_events")}
    connection.close()
    return found
