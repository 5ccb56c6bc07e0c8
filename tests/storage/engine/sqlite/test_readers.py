import asyncio
import gc
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import anyio
import pytest
from sqlalchemy import Connection, Pool, event

from storage.database import Database
from storage.engine.sqlite.readers import READERS
from storage.models import NotificationFilter
from storage.repository import NotificationRepository

pytestmark = pytest.mark.sqlite


async def test_a_cancelled_query_leaks_nothing(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    repository = NotificationRepository(database)
    for steps in range(12):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(repository.list, NotificationFilter())
            for _ in range(steps):
                await asyncio.sleep(0)
            tasks.cancel_scope.cancel()
    # Other queries still work.
    assert (await repository.list(NotificationFilter())).items == ()
    gc.collect()
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


@dataclass
class Connections:
    """The connections that SQLAlchemy has opened and closed."""

    opened: int = 0
    closed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


@pytest.fixture
def connections() -> Iterator[Connections]:
    """All of the test, which the garbage collector doesn't close."""
    seen = Connections()

    def opened(*_: object) -> None:
        seen.opened += 1

    def closed(*_: object) -> None:
        seen.closed.release()

    event.listen(Pool, "connect", opened)
    event.listen(Pool, "close", closed)
    gc.disable()
    yield seen
    gc.enable()
    event.remove(Pool, "connect", opened)
    event.remove(Pool, "close", closed)


async def test_a_connection_is_closed_if_its_query_is_cancelled_while_it_opens(
    connections: Connections, database_url: str
) -> None:
    async with Database.open(database_url) as database:
        repository = NotificationRepository(database)
        for steps in range(12):
            async with anyio.create_task_group() as tasks:
                for _ in range(READERS):
                    tasks.start_soon(repository.list, NotificationFilter())
                for _ in range(steps):
                    await asyncio.sleep(0)
                tasks.cancel_scope.cancel()
    for _ in range(connections.opened):
        assert await anyio.to_thread.run_sync(connections.closed.acquire, True, 10.0)


def test_closing_waits_for_a_connection_whose_query_was_cancelled_while_it_opens(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread would otherwise report to an event loop that has been closed, with a traceback on stderr."""
    begun, opening, closing = threading.Event(), threading.Event(), threading.Event()

    def slowly(*_: object) -> None:
        if begun.is_set():
            opening.set()
            assert closing.wait(10)

    async def cancel_a_query() -> None:
        async with Database.open(database_url) as database:
            begun.set()
            repository = NotificationRepository(database)
            queries = [asyncio.create_task(repository.list(NotificationFilter())) for _ in range(READERS)]
            assert await asyncio.to_thread(opening.wait, 10)
            for query in queries:
                query.cancel()
            await asyncio.wait(queries)
            # Runs if the database waits for the thread.
            asyncio.get_running_loop().call_later(0.01, closing.set)

    reported: list[object] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)
    others = threading.enumerate()
    event.listen(Pool, "connect", slowly)
    try:
        asyncio.run(cancel_a_query())
    finally:
        event.remove(Pool, "connect", slowly)
        closing.set()
    for thread in set(threading.enumerate()).difference(others):
        thread.join(10)
    assert reported == []


async def test_endless_queries_delay_others_only_until_they_are_cancelled(database: Database) -> None:
    repository = NotificationRepository(database)
    loop, running = asyncio.get_running_loop(), asyncio.Semaphore(0)

    def endless(connection: Connection) -> None:
        loop.call_soon_threadsafe(running.release)
        connection.exec_driver_sql(
            "WITH RECURSIVE endless(n) AS (SELECT 1 UNION ALL SELECT 1 FROM endless)"
            " SELECT count(*) FROM endless"
        )

    async with anyio.create_task_group() as tasks:
        for _ in range(READERS - 1):
            tasks.start_soon(database.read, endless)
            await running.acquire()
        assert (await repository.list(NotificationFilter())).items == ()
        tasks.start_soon(database.read, endless)
        await running.acquire()
        with anyio.move_on_after(0.05) as waiting:
            await repository.list(NotificationFilter())
        assert waiting.cancelled_caught
        tasks.cancel_scope.cancel()
    with anyio.fail_after(10):
        assert (await repository.list(NotificationFilter())).items == ()
