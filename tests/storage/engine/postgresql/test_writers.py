"""On PostgreSQL a process runs transactions of different operations at the same time."""

import asyncio

import asyncpg
import pytest

from storage.database import Database
from storage.repository import NotificationRepository
from tests.builders import LEASE, TOOK, UNLIMITED, new_notification, request

pytestmark = pytest.mark.postgresql


async def test_a_claim_does_not_wait_for_an_outcome(postgresql_url: str) -> None:
    other = await asyncpg.connect(postgresql_url)
    async with Database.open(postgresql_url) as database:
        repository = NotificationRepository(database)
        for _ in range(2):
            await repository.accept(new_notification())
        (first,) = (await repository.claim(request("worker-1", LEASE, 1, UNLIMITED))).claims
        async with other.transaction():
            await other.execute(
                "SELECT FROM notification_events WHERE id = $1 FOR UPDATE", first.notification.id
            )
            recording = asyncio.create_task(repository.record_sent(first, TOOK))
            await asyncio.sleep(0)
            assert (await repository.claim(request("worker-1", LEASE, 1, UNLIMITED))).claims
            assert not recording.done()
        assert await recording
    await other.close()
