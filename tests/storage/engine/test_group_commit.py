import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import text

from storage.database import Database
from storage.engine.group_commit import LARGEST_BATCH, WriteFailedError, Writer
from storage.engine.transaction import Refused, Transaction, TransactionFailedError
from storage.errors import NotificationNotFoundError, StorageError
from storage.models import NotificationFilter
from storage.repository import NotificationRepository
from tests.builders import Queue, new_notification
from tests.storage.raw_sql import connected

# The gate blocks a thread, and only on SQLite does a transaction have its own.
pytestmark = pytest.mark.sqlite


def set_type(transaction: Transaction, types: Sequence[str]) -> list[str]:
    for name in types:
        transaction.connection.execute(text("UPDATE notification_events SET type = :type"), {"type": name})
    return [name.upper() for name in types]


def fail_halfway(transaction: Transaction, items: Sequence[str]) -> list[None]:
    set_type(transaction, items)
    raise ArithmeticError("broken off")


def refuse_odd_numbers(_transaction: Transaction, numbers: Sequence[int]) -> list[int | Refused]:
    return [Refused(NotificationNotFoundError(str(number))) if number % 2 else number for number in numbers]


class Gate:
    """An operation that keeps the writer in a transaction until the gate is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.sizes: list[int] = []

    def pass_through(self, _transaction: Transaction, items: Sequence[int]) -> list[int]:
        self.sizes.append(len(items))
        self.entered.set()
        self.opened.wait(10)
        return list(items)

    async def closed(self, database: Database) -> asyncio.Task[int]:
        """Start a write that can't end before the gate is opened."""
        task = asyncio.create_task(database.write(self.pass_through, 0))
        await asyncio.to_thread(self.entered.wait)
        return task


@pytest.fixture
def gate() -> Gate:
    return Gate()


async def test_waiting_writes_share_a_transaction_and_return_in_order(database: Database, gate: Gate) -> None:
    first = await gate.closed(database)
    others = [asyncio.create_task(database.write(gate.pass_through, number)) for number in range(1, 20)]
    await asyncio.sleep(0)
    gate.opened.set()
    assert await asyncio.gather(first, *others) == list(range(20))
    assert gate.sizes == [1, 19]


async def test_a_transaction_has_a_maximum_size(database: Database, gate: Gate) -> None:
    first = await gate.closed(database)
    others = [asyncio.create_task(database.write(gate.pass_through, 1)) for _ in range(LARGEST_BATCH + 1)]
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(first, *others)
    assert gate.sizes == [1, LARGEST_BATCH, 1]


async def test_a_failure_reaches_only_its_callers_and_rolls_back_nothing_else(
    queue: Queue, database: Database, gate: Gate
) -> None:
    await queue.pending()
    first = await gate.closed(database)
    waiting = [
        asyncio.create_task(database.write(set_type, "kept")),
        asyncio.create_task(database.write(fail_halfway, "undone")),
        asyncio.create_task(queue.pending(message="accepted beside it")),
    ]
    await asyncio.sleep(0)
    gate.opened.set()
    kept, undone, accepted = await asyncio.gather(*waiting, return_exceptions=True)
    await first
    assert kept == "KEPT"
    assert isinstance(undone, WriteFailedError)
    assert str(undone.__cause__) == "broken off"
    assert not isinstance(accepted, BaseException)
    types = {n.type for n in (await queue.repository.list(NotificationFilter())).items}
    assert types == {"kept", "ExpirationWarning"}


async def test_a_failed_transaction_is_rolled_back_and_the_writer_continues(
    queue: Queue, database: Database
) -> None:
    notification = await queue.pending()
    with pytest.raises(WriteFailedError, match="broken off") as failed:
        await database.write(fail_halfway, "undone")
    assert isinstance(failed.value.__cause__, ArithmeticError)
    assert await queue.repository.get(notification.id) == notification
    assert await database.write(set_type, "written") == "WRITTEN"


async def test_a_refusal_is_raised_for_its_caller_only(database: Database, gate: Gate) -> None:
    first = await gate.closed(database)
    waiting = [asyncio.create_task(database.write(refuse_odd_numbers, number)) for number in range(4)]
    await asyncio.sleep(0)
    gate.opened.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    await first
    assert answers[::2] == [0, 2]
    assert all(isinstance(answer, NotificationNotFoundError) for answer in answers[1::2])


async def test_each_caller_of_a_failed_transaction_gets_its_own_exception(
    database: Database, gate: Gate
) -> None:
    first = await gate.closed(database)
    waiting = [asyncio.create_task(database.write(fail_halfway, "undone")) for _ in range(3)]
    await asyncio.sleep(0)
    gate.opened.set()
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    await first
    assert len({id(failure) for failure in failures}) == 3
    causes = {id(failure.__cause__) for failure in failures if isinstance(failure, WriteFailedError)}
    assert len(causes) == 1


def drop_the_last_result(transaction: Transaction, items: Sequence[str]) -> list[str]:
    return set_type(transaction, items)[:-1]


async def test_an_operation_with_too_few_results_is_rolled_back_and_the_writer_continues(
    queue: Queue, database: Database, gate: Gate
) -> None:
    notification = await queue.pending()
    first = await gate.closed(database)
    wrong = [asyncio.create_task(database.write(drop_the_last_result, "undone")) for _ in range(2)]
    right = asyncio.create_task(database.write(gate.pass_through, 1))
    await asyncio.sleep(0)
    gate.opened.set()
    for failed in await asyncio.gather(*wrong, return_exceptions=True):
        assert "returned 1 answers for 2 items" in str(failed)
    assert (await first, await right) == (0, 1)
    assert await queue.repository.get(notification.id) == notification


async def test_a_failed_transaction_never_looks_successful() -> None:
    async def transact(work: Callable[[Transaction], object], *, repeatable: bool) -> Any:
        raise TransactionFailedError(OSError("gone"))

    writer = Writer(transact)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.run)
        with pytest.raises(WriteFailedError, match="gone"):
            await writer.write(set_type, "undone")
        writer.close()


async def test_a_cancelled_caller_does_not_affect_the_others(database: Database, gate: Gate) -> None:
    under_way = await gate.closed(database)
    waiting = [asyncio.create_task(database.write(gate.pass_through, number)) for number in range(3)]
    await asyncio.sleep(0)
    under_way.cancel()
    waiting[1].cancel()
    gate.opened.set()
    answers = await asyncio.gather(under_way, *waiting, return_exceptions=True)
    assert [answers[1], answers[3]] == [0, 2]
    assert isinstance(answers[0], asyncio.CancelledError)
    assert isinstance(answers[2], asyncio.CancelledError)
    assert gate.sizes == [1, 2]


async def test_closing_finishes_the_waiting_writes(
    database_path: Path, database_url: str, gate: Gate
) -> None:
    async with Database.open(database_url) as database:
        repository = NotificationRepository(database)
        first = await gate.closed(database)
        waiting = [asyncio.create_task(repository.accept(new_notification())) for _ in range(50)]
        await asyncio.sleep(0)
        gate.opened.set()
    assert await first == 0
    assert len(await asyncio.gather(*waiting)) == 50
    with connected(database_path) as other:
        assert other.execute("SELECT count(*) FROM notification_events").fetchone() == (50,)


async def test_writes_after_closing_are_refused(database_url: str) -> None:
    async with Database.open(database_url) as database:
        repository = NotificationRepository(database)
    with pytest.raises(StorageError, match="closed"):
        await repository.accept(new_notification())


async def test_a_cancelled_task_can_still_write_during_cleanup(database_url: str) -> None:
    opened = anyio.Event()

    async def serve() -> None:
        async with Database.open(database_url) as database:
            repository = NotificationRepository(database)
            try:
                opened.set()
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await repository.accept(new_notification(message="on the way out"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        await opened.wait()
        tasks.cancel_scope.cancel()
    async with Database.open(database_url) as database:
        (kept,) = (await NotificationRepository(database).list(NotificationFilter())).items
    assert kept.message == "on the way out"
