"""A queue copied from one database to the other and back is unchanged."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from storage.database import Database
from storage.errors import StorageError
from storage.maintenance.copy import Copied, copy
from storage.maintenance.row_batches import count_notifications
from storage.models import NotificationFilter, NotificationStatus
from storage.operations.keep_figures import day_of
from storage.repository import NotificationRepository
from tests import postgresql
from tests.builders import LEASE, NOON, TOOK, Queue, SettableClock, new_notification, request
from tests.context_in_task import ContextInTask
from tests.postgresql import Server
from tests.storage.raw_sql import insert_row, run

STATES = ("pending", "failed", "dead", "sent", "skipped", "read")


@pytest.fixture
async def target(postgresql_server: Server, clock: SettableClock) -> AsyncIterator[Database]:
    url = await postgresql.create_database(postgresql_server)
    context = ContextInTask(Database.open(url, clock=clock))
    yield await context.enter()
    await context.exit()
    await postgresql.drop_database(postgresql_server, url)


@pytest.fixture
async def full_queue(queue: Queue, database_path: Path) -> Queue:
    """A queue in SQLite with a notification in every state, and with texts that are hard to copy."""
    for state in STATES:
        await getattr(queue, state)(message=f"{state} üñ\u2028⚠ 'quoted' \\ \ud7ff", idempotency_key=state)
    await queue.abandoned(times=2)
    await queue.repository.accept(new_notification(message="by somebody"), actor="alice")
    insert_row(database_path, id="theirs", status="paused")
    return queue


async def copy_all(source: Database, target: Database) -> Copied:
    return await copy(source, target, lambda _count: None)


async def contents(database: Database) -> dict[str, object]:
    repository = NotificationRepository(database)
    found = (await repository.list(NotificationFilter(), limit=500)).items
    return {n.id: (n, await repository.attempts(n.id), await repository.audit(n.id, limit=9)) for n in found}


async def test_a_copy_to_postgresql_and_back_is_the_same(
    full_queue: Queue, database: Database, target: Database, tmp_path: Path, clock: SettableClock
) -> None:
    there = await copy_all(database, target)
    assert (there.differing, there.passed_over, there.audit_entries) == ((), 0, 1)
    assert there.notifications == await count_notifications(database) == len(STATES) + 3
    assert await contents(target) == await contents(database)
    async with Database.open(f"sqlite:///{tmp_path / 'back.db'}", clock=clock) as back:
        again = await copy_all(target, back)
        assert again == there
        assert await contents(back) == await contents(database)


async def test_the_audit_log_continues_in_the_copy(
    full_queue: Queue, database: Database, target: Database
) -> None:
    await copy_all(database, target)
    accepted = await NotificationRepository(target).accept(new_notification(), actor="bob")
    (entry,) = await NotificationRepository(target).audit(accepted.notification.id, limit=9)
    assert entry.actor == "bob"


@pytest.mark.usefixtures("patient_figures")
async def test_a_report_from_the_copy_includes_what_was_copied_later(
    queue: Queue, database: Database, target: Database
) -> None:
    copied = NotificationRepository(target)
    await queue.failed(wait=LEASE)
    await copy_all(database, target)
    assert await copied.keep_figures([day_of(NOON)]) == 1
    queue.clock.advance(LEASE)
    (claim,) = await queue.claim_due()
    await queue.repository.record_sent(claim, TOOK)
    await copy_all(database, target)
    period = day_of(NOON)
    figures = await copied.delivery_figures(period.begins_at, period.ends_at)
    assert figures == await queue.repository.delivery_figures(period.begins_at, period.ends_at)
    assert (figures.overall.attempts, figures.overall.retries) == (2, 1)


async def test_an_interrupted_copy_is_resumed(
    full_queue: Queue, database: Database, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.maintenance.row_batches.BATCH", 2)

    def interrupt(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await copy(database, target, interrupt)
    assert await count_notifications(target) == 2
    advanced: list[int] = []
    copied = await copy(database, target, advanced.append)
    assert (copied.passed_over, copied.differing) == (2, ())
    assert sum(advanced) == 2 * copied.notifications


async def test_later_changes_in_the_source_are_copied(
    full_queue: Queue, database: Database, target: Database, database_path: Path, clock: SettableClock
) -> None:
    await copy_all(database, target)
    run(database_path, "UPDATE notification_events SET message = 'changed since' WHERE id = 'theirs'")
    clock.advance(timedelta(days=1))
    claims = (await full_queue.repository.claim(request())).claims
    for claim in claims:
        await full_queue.repository.record_sent(claim, TOOK)
    dead = (await full_queue.repository.list(NotificationFilter(statuses=(NotificationStatus.DEAD,)))).items
    await full_queue.repository.requeue(dead[0].id, actor="alice")
    again = await copy_all(database, target)
    assert (again.differing, again.updated) == ((), len(claims) + 2)
    assert await contents(target) == await contents(database)


async def test_rows_changed_in_the_target_are_reported_and_left_alone(
    full_queue: Queue, database: Database, target: Database
) -> None:
    await copy_all(database, target)
    theirs = NotificationRepository(target)
    claim, *_ = (await theirs.claim(request(slots=1))).claims
    await theirs.record_sent(claim, TOOK)
    (dead,) = (await theirs.list(NotificationFilter(statuses=(NotificationStatus.DEAD,)))).items
    await theirs.mark_read(dead.id, actor="bob")
    before = await contents(target)
    again = await copy_all(database, target)
    assert set(again.differing) == {f"notification_events {n}" for n in (claim.notification.id, dead.id)}
    assert await contents(target) == before


async def test_an_alert_purged_since_the_last_copy_is_not_sent_from_the_target(
    queue: Queue, database: Database, target: Database
) -> None:
    accepted = await queue.pending()
    await copy_all(database, target)
    await queue.repository.mark_read(accepted.id)
    await queue.repository.purge_all(
        [accepted.id], statuses=(NotificationStatus.READ,), created_until=NOON + timedelta(days=1)
    )
    with pytest.raises(StorageError, match=r"holds 1 undelivered .* copy to a new database"):
        await copy_all(database, target)


async def test_conflicting_idempotency_keys_are_explained(
    queue: Queue, database: Database, target: Database
) -> None:
    await queue.sent(idempotency_key="once")
    other = await NotificationRepository(target).accept(new_notification(idempotency_key="once"))
    await NotificationRepository(target).mark_read(other.notification.id)
    with pytest.raises(StorageError, match=r"key 'once' of .* belongs to .* copy to a new database"):
        await copy_all(database, target)


async def test_nothing_is_copied_during_deliveries(
    queue: Queue, database: Database, target: Database, clock: SettableClock
) -> None:
    await queue.claimed(lease=LEASE)
    with pytest.raises(StorageError, match="1 notifications are being delivered"):
        await copy_all(database, target)
    assert await count_notifications(target) == 0
    clock.advance(LEASE + timedelta(seconds=1))
    assert (await copy_all(database, target)).notifications == 1


async def test_text_that_the_target_cannot_store_is_refused_and_nothing_is_lost(
    queue: Queue, database: Database, database_path: Path, target: Database
) -> None:
    insert_row(database_path, message="not for PostgreSQL: \0")
    with pytest.raises(StorageError, match="can't store the character NUL"):
        await copy_all(database, target)
    assert (await count_notifications(database), await count_notifications(target)) == (1, 0)
