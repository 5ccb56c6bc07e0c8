"""An action and its audit entry are stored together or not at all."""

from datetime import timedelta

import pytest

from storage.errors import NotificationConflictError
from storage.models import AuditAction, NotificationStatus
from tests.builders import NOON, Queue, SettableClock, new_notification


async def audited(queue: Queue, notification_id: str, limit: int = 10) -> list[tuple[str, str]]:
    entries = await queue.repository.audit(notification_id, limit=limit)
    return [(entry.actor, entry.action.value) for entry in entries]


async def test_each_action_is_recorded_with_its_actor_and_time(queue: Queue, clock: SettableClock) -> None:
    accepted = await queue.repository.accept(new_notification(), actor="http:ops")
    dead = accepted.notification
    await queue.repository.mark_as_dead(await queue.claim(dead.id), timedelta(1), "HTTP 410")
    clock.advance(timedelta(minutes=1))
    await queue.repository.requeue(dead.id, actor="cli:ada")
    await queue.repository.mark_read(dead.id, actor="stdio:host 1.0")
    entries = await queue.repository.audit(dead.id, limit=10)
    assert [(e.actor, e.action, e.at - NOON) for e in entries] == [
        ("http:ops", AuditAction.SEND, timedelta(0)),
        ("cli:ada", AuditAction.REQUEUE, timedelta(minutes=1)),
        ("stdio:host 1.0", AuditAction.MARK_READ, timedelta(minutes=1)),
    ]


async def test_bulk_actions_record_an_entry_for_each_changed_notification(queue: Queue) -> None:
    dead, sent = await queue.dead(), await queue.sent()
    await queue.repository.requeue_all([dead.id, sent.id, "notif-unknown"], actor="http:ops")
    assert await audited(queue, dead.id) == [("http:ops", "requeue")]
    assert await audited(queue, sent.id) == await audited(queue, "notif-unknown") == []
    await queue.repository.mark_all_read([dead.id], actor="http:eve")
    assert await audited(queue, dead.id) == [("http:ops", "requeue"), ("http:eve", "mark read")]


async def test_a_deletion_is_still_recorded_after_the_notification_is_gone(
    queue: Queue, clock: SettableClock
) -> None:
    sent = await queue.sent()
    clock.advance(timedelta(days=1))
    await queue.repository.purge_all(
        [sent.id], statuses=[NotificationStatus.SENT], created_until=clock(), actor="http:ops"
    )
    assert await audited(queue, sent.id) == [("http:ops", "purge")]


async def test_refused_and_repeated_actions_leave_no_entry(queue: Queue) -> None:
    sent = await queue.sent(idempotency_key="once")
    with pytest.raises(NotificationConflictError):
        await queue.repository.requeue(sent.id, actor="http:ops")
    await queue.repository.accept(new_notification(idempotency_key="once"), actor="http:ops")
    assert await audited(queue, sent.id) == []


async def test_an_action_without_an_actor_leaves_no_entry(queue: Queue) -> None:
    dead = await queue.dead()
    await queue.repository.requeue(dead.id)
    assert await audited(queue, dead.id) == []


async def test_the_newest_entries_are_returned_oldest_first(queue: Queue) -> None:
    pending = await queue.pending()
    for actor in ("one", "two", "three"):
        await queue.repository.mark_read(pending.id, actor=actor)
    assert await audited(queue, pending.id, limit=2) == [("two", "mark read"), ("three", "mark read")]
