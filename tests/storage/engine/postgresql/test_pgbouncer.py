"""With PgBouncer in transaction mode, consecutive transactions run on different server connections."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest

from storage.database import Database
from storage.engine.postgresql.polling import POLL_INTERVAL
from storage.engine.transaction import Transaction
from storage.errors import StorageError
from storage.models import NotificationFilter, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import LEASE, TOOK, UNLIMITED, new_notification, next_due_at, request
from tests.pgbouncer import pooled
from tests.postgresql import skip_if_unavailable
from tests.storage.raw_sql import insert_row

MANY = 40


@pytest.fixture
def pooled_url(empty_database: str) -> Iterator[str]:
    with skip_if_unavailable(), pooled(empty_database) as url:
        yield url


async def test_two_processes_deliver_through_a_pooler(pooled_url: str) -> None:
    url = f"{pooled_url}?pgbouncer=true"
    async with Database.open(url) as one, Database.open(url) as two:
        assert one.found_revision is None
        repositories = NotificationRepository(one), NotificationRepository(two)

        async def deliver(number: int) -> None:
            """Accept, claim and deliver one notification, with concurrent readers."""
            repository = repositories[number % 2]
            await repository.accept(new_notification(message=str(number)))
            found, _, _ = await asyncio.gather(
                repository.claim(request(f"worker-{number}", LEASE, 1, UNLIMITED)),
                repository.queue_counts(),
                next_due_at(repository),
            )
            for claim in found.claims:
                assert await repository.record_sent(claim, TOOK)

        await asyncio.gather(*(deliver(number) for number in range(MANY)))
        page = await repositories[0].list(NotificationFilter(statuses=(NotificationStatus.SENT,)), limit=100)
        assert {n.message for n in page.items} == {str(number) for number in range(MANY)}
        assert (await repositories[1].queue_counts()).by_status[NotificationStatus.SENT] == MANY


async def test_commits_of_others_are_noticed_by_polling(pooled_url: str) -> None:
    assert timedelta(0) < POLL_INTERVAL <= timedelta(seconds=1)
    async with Database.open(f"{pooled_url}?pgbouncer=true") as database:
        repository = NotificationRepository(database)
        version = database.changes.due.version
        insert_row(pooled_url)
        async with asyncio.timeout(30):
            while not (await repository.claim(request("worker-1", LEASE, 1, UNLIMITED))).claims:
                version = await database.changes.due.wait_beyond(version)


async def test_an_undeclared_pooler_is_an_error_that_names_the_parameter(pooled_url: str) -> None:
    with pytest.raises(StorageError, match=r"add \?pgbouncer=true to CERTCTL_DATABASE_URL"):
        async with Database.open(pooled_url):
            pass


async def test_a_pooler_in_session_mode_can_be_declared(pooled_url: str) -> None:
    async with Database.open(f"{pooled_url}?pgbouncer=false") as database:
        assert await NotificationRepository(database).types_in_use() == ()


async def test_a_missing_prepared_statement_reveals_the_pooler(
    postgresql_url: str,
) -> None:
    async with Database.open(postgresql_url) as database:
        repository = NotificationRepository(database)
        await repository.accept(new_notification())

        def forget(transaction: Transaction, _items: Sequence[None]) -> list[None]:
            transaction.connection.exec_driver_sql("DEALLOCATE ALL")
            return [None]

        await database.write(forget, None)
        with pytest.raises(StorageError, match=r"add \?pgbouncer=true"):
            await repository.accept(new_notification())
