from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import pytest

from storage.models import AuditAction, Notification, NotificationFilter, NotificationStatus, Retained
from storage.operations import retention
from storage.operations.retention import Expiry, RetentionRun
from tests.builders import TOOK, Queue, new_notification
from tests.storage.raw_sql import run

DAY = timedelta(days=1)
KEPT = 30 * DAY

NOTIFICATIONS = [kind for kind in Retained if kind is not Retained.AUDIT]


async def delete(queue: Queue, *kinds: Retained) -> Mapping[Retained, int]:
    """Delete what was settled more than `KEPT` ago, in batches; returns the number of each kind deleted."""
    done = RetentionRun("worker-1")
    for kind in kinds:
        batch = Expiry(kind, queue.clock() - KEPT, done)
        while True:
            expired = await queue.repository.delete_expired(batch)
            done = expired.run
            if expired.after is None:
                break
            batch = Expiry(kind, batch.before, done, expired.after)
    return done.deleted


async def remaining_ids(queue: Queue) -> set[str]:
    return {one.id for one in (await queue.repository.list(NotificationFilter(), limit=500)).items}


async def leased(queue: Queue) -> Notification:
    return (await queue.claimed()).notification


SETTLED: dict[Retained, Callable[[Queue], Awaitable[Notification]]] = {
    Retained.SENT: Queue.sent,
    Retained.READ: Queue.read,
    Retained.DEAD: Queue.dead,
    Retained.UNDELIVERED: Queue.skipped,
}
UNSETTLED: tuple[Callable[[Queue], Awaitable[Notification]], ...] = (leased, Queue.failed, Queue.pending)


@pytest.mark.parametrize("kind", NOTIFICATIONS)
async def test_each_kind_is_deleted_after_its_retention_and_nothing_else(
    queue: Queue, kind: Retained
) -> None:
    made = {each: (await make(queue)).id for each, make in SETTLED.items()}
    others = {(await make(queue)).id for make in UNSETTLED}
    queue.clock.advance(KEPT)
    assert await delete(queue, kind) == {}
    queue.clock.advance(timedelta(microseconds=1))
    assert await delete(queue, kind) == {kind: 1}
    assert await remaining_ids(queue) == others | {made[each] for each in made if each is not kind}
    assert await queue.repository.count_attempts(made[kind]) == 0


async def test_the_backlog_is_kept_at_any_age(queue: Queue) -> None:
    ids = {(await make(queue)).id for make in UNSETTLED}
    queue.clock.advance(10 * KEPT)
    assert await delete(queue, *Retained) == {}
    assert await remaining_ids(queue) == ids


@pytest.mark.parametrize("status", ["sent", "read", "dead"])
async def test_leased_notifications_are_kept_in_any_status(
    queue: Queue, database_url: str, status: str
) -> None:
    claim = await queue.claimed(lease=timedelta(hours=1))
    run(database_url, "UPDATE notification_events SET status = $1, sent_at = created_at", status)
    queue.clock.advance(10 * KEPT)
    assert await delete(queue, *NOTIFICATIONS) == {}
    assert await remaining_ids(queue) == {claim.notification.id}


async def settle_again(queue: Queue, kind: Retained, old: Notification) -> None:
    await queue.repository.requeue(old.id)
    claim = await queue.claim(old.id)
    match kind:
        case Retained.SENT:
            await queue.repository.record_sent(claim, TOOK)
        case Retained.DEAD:
            await queue.repository.mark_as_dead(claim, TOOK, "HTTP 410")
        case _:
            await queue.repository.record_skipped(claim, "no notifier")


@pytest.mark.parametrize("kind", [Retained.SENT, Retained.DEAD, Retained.UNDELIVERED])
async def test_retention_begins_at_settlement_rather_than_acceptance(queue: Queue, kind: Retained) -> None:
    old = await queue.dead()
    queue.clock.advance(2 * KEPT)
    await settle_again(queue, kind, old)
    assert await delete(queue, *NOTIFICATIONS) == {}
    queue.clock.advance(2 * KEPT)
    assert await delete(queue, *NOTIFICATIONS) == {kind: 1}


async def test_retention_restarts_when_a_notification_is_marked_read(queue: Queue) -> None:
    old = await queue.sent()
    queue.clock.advance(2 * KEPT)
    await queue.repository.mark_read(old.id)
    assert await delete(queue, *NOTIFICATIONS) == {}


async def test_a_run_deletes_in_batches_with_one_audit_entry(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await queue.sent()
        queue.clock.advance(TOOK)
    await queue.dead()
    queue.clock.advance(2 * KEPT)
    monkeypatch.setattr(retention, "_EXPIRED", {k: q.limit(2) for k, q in retention._EXPIRED.items()})
    monkeypatch.setattr(retention, "BATCH", 2)
    assert await delete(queue, *NOTIFICATIONS) == {Retained.SENT: 3, Retained.DEAD: 1}
    (entry,) = await queue.repository.audit_log(limit=10)
    assert (entry.action, entry.actor, entry.at) == (AuditAction.RETENTION, "worker-1", queue.clock())
    assert (entry.detail, entry.notification_id) == ("3 sent, 1 dead", "")


async def test_a_run_that_deletes_nothing_leaves_no_entry(queue: Queue) -> None:
    assert await delete(queue, *Retained) == {}
    assert await queue.repository.audit_log(limit=10) == ()


async def test_old_audit_entries_are_deleted(queue: Queue) -> None:
    for _ in range(3):
        await queue.repository.accept(new_notification(), actor="alice")
    queue.clock.advance(2 * KEPT)
    await queue.repository.accept(new_notification(), actor="bob")
    assert await delete(queue, Retained.AUDIT) == {Retained.AUDIT: 3}
    entries = await queue.repository.audit_log(limit=10)
    assert [(entry.actor, entry.detail) for entry in entries] == [("worker-1", "3 audit"), ("bob", None)]


async def test_a_key_is_free_again_once_its_notification_is_deleted(queue: Queue) -> None:
    first = await queue.sent(idempotency_key="key")
    queue.clock.advance(2 * KEPT)
    await delete(queue, Retained.SENT)
    again = await queue.pending(idempotency_key="key", message="other")
    assert (again.id == first.id, again.status) == (False, NotificationStatus.PENDING)
