import asyncio
import gc
from pathlib import Path

import anyio
import pytest

from storage.database import Database
from storage.models import NotificationFilter
from storage.repository import NotificationRepository


async def test_a_cancelled_query_leaks_nothing(
    database: Database, database_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    repository = NotificationRepository(database)
    for steps in range(12):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(repository.list, NotificationFilter())
            for _ in range(steps):
                await asyncio.sleep(0)
            tasks.cancel_scope.cancel()
    # Other queries still work.
    assert (await repository.list(NotificationFilter())).items == ()
    closing = [task for task in asyncio.all_tasks() if "_terminate" in repr(task.get_coro())]
    async with asyncio.timeout(10):
        await asyncio.gather(*closing, return_exceptions=True)
    gc.collect()
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []
