"""A queue moves from one database to the other and back, and is the same there."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from storage.database import Database
from storage.errors import StorageError
from storage.maintenance.copy import Copied, copy, count_notifications
from storage.models import NotificationFilter
from storage.repository import NotificationRepository
from tests import postgresql
from tests.builders import LEASE, Queue, SettableClock, new_notification
from tests.holding import Held
from tests.postgresql import Server
from tests.storage.foreign import insert_row, rows, run

STATES = ("pending", "failed", "dead", "sent", "skipped", "read")


@pytest.fixture
async def target(postgresql_server: Server, clock: SettableClock) -> AsyncIterator[Database]:
    url = await postgresql.create_database(postgresql_server)
    held = Held(Database.open(url, clock=clock))
    yield await held.enter()
    await held.leave()
    await postgresql.drop_database(postgresql_server, url)


@pytest.fixture
async def full(queue: Queue, database_path: Path) -> Queue:
    """In SQLite, in every state, with what is hard to carry."""
    for state in STATES:
        await getattr(queue, state)(message=f"{state} üñ\u2028⚠ 'quoted' \\ \ud7ff", idempotency_key=state)
    await queue.abandoned(times=2)
    await queue.repository.accept(new_notification(message="by somebody"), actor="alice")
    insert_row(database_path, id="theirs", status="paused")
    return queue


async def moved(source: Database, target: Database) -> Copied:
    return await copy(source, target, lambda _count: None)


async def contents(database: Database) -> dict[str, object]:
    repository = NotificationRepository(database)
    found = (await repository.list(NotificationFilter(), limit=500)).items
    return {n.id: (n, await repository.attempts(n.id), await repository.audit(n.id, limit=9)) for n in found}


async def test_it_is_the_same_in_postgresql_and_back_in_sqlite(
    full: Queue, database: Database, target: Database, tmp_path: Path, clock: SettableClock
) -> None:
    there = await moved(database, target)
    assert (there.differing, there.passed_over, there.audit_entries) == ((), 0, 1)
    assert there.notifications == await count_notifications(database) == len(STATES) + 3
    assert await contents(target) == await contents(database)
    async with Database.open(f"sqlite:///{tmp_path / 'back.db'}", clock=clock) as back:
        again = await moved(target, back)
        assert again == there
        assert await contents(back) == await contents(database)


async def test_the_audit_goes_on_where_it_was(full: Queue, database: Database, target: Database) -> None:
    await moved(database, target)
    accepted = await NotificationRepository(target).accept(new_notification(), actor="bob")
    (entry,) = await NotificationRepository(target).audit(accepted.notification.id, limit=9)
    assert entry.actor == "bob"


async def test_what_was_interrupted_is_taken_up_again(
    full: Queue, database: Database, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.maintenance.copy.BATCH", 2)

    def interrupt(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await copy(database, target, interrupt)
    assert await count_notifications(target) == 2
    advanced: list[int] = []
    copied = await copy(database, target, advanced.append)
    assert (copied.passed_over, copied.differing) == (2, ())
    assert sum(advanced) == 2 * copied.notifications


async def test_what_is_there_otherwise_is_named_and_left(
    full: Queue, database: Database, database_path: Path, target: Database
) -> None:
    await moved(database, target)
    run(database_path, "UPDATE notification_events SET message = 'changed since' WHERE id = 'theirs'")
    copied = await moved(database, target)
    assert copied.differing == ("notification_events theirs",)
    assert rows(database_path, "SELECT count(*) FROM notification_events WHERE message = 'changed since'")


async def test_nothing_is_copied_while_deliveries_are_under_way(
    queue: Queue, database: Database, target: Database, clock: SettableClock
) -> None:
    await queue.claimed(lease=LEASE)
    with pytest.raises(StorageError, match="1 notifications are being delivered"):
        await moved(database, target)
    assert await count_notifications(target) == 0
    clock.advance(LEASE + timedelta(seconds=1))
    assert (await moved(database, target)).notifications == 1


async def test_what_only_one_side_can_hold_is_refused_and_nothing_is_lost(
    queue: Queue, database: Database, database_path: Path, target: Database
) -> None:
    insert_row(database_path, message="not for PostgreSQL: \0")
    with pytest.raises(StorageError, match="can't hold the character NUL"):
        await moved(database, target)
    assert (await count_notifications(database), await count_notifications(target)) == (1, 0)
