"""Who did what is kept together with what was done, and only with it."""

from datetime import timedelta

import pytest

from storage.errors import NotificationConflictError
from storage.models import AuditAction, NotificationStatus
from tests.builders import NOON, Queue, SettableClock, new_notification


async def told(queue: Queue, notification_id: str, limit: int = 10) -> list[tuple[str, str]]:
    entries = await queue.repository.audit(notification_id, limit=limit)
    return [(entry.actor, entry.action.value) for entry in entries]


async def test_each_act_is_kept_with_its_actor_and_its_moment(queue: Queue, clock: SettableClock) -> None:
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


async def test_of_many_each_has_its_entry_and_what_was_left_alone_has_none(queue: Queue) -> None:
    dead, sent = await queue.dead(), await queue.sent()
    await queue.repository.requeue_all([dead.id, sent.id, "notif-unknown"], actor="http:ops")
    assert await told(queue, dead.id) == [("http:ops", "requeue")]
    assert await told(queue, sent.id) == await told(queue, "notif-unknown") == []
    await queue.repository.mark_all_read([dead.id], actor="http:eve")
    assert await told(queue, dead.id) == [("http:ops", "requeue"), ("http:eve", "mark read")]


async def test_who_deleted_it_is_known_when_it_is_gone(queue: Queue, clock: SettableClock) -> None:
    sent = await queue.sent()
    clock.advance(timedelta(days=1))
    await queue.repository.purge_all(
        [sent.id], statuses=[NotificationStatus.SENT], created_until=clock(), actor="http:ops"
    )
    assert await told(queue, sent.id) == [("http:ops", "purge")]


async def test_what_is_refused_or_repeated_leaves_no_entry(queue: Queue) -> None:
    sent = await queue.sent(idempotency_key="once")
    with pytest.raises(NotificationConflictError):
        await queue.repository.requeue(sent.id, actor="http:ops")
    await queue.repository.accept(new_notification(idempotency_key="once"), actor="http:ops")
    assert await told(queue, sent.id) == []


async def test_where_nobody_is_named_nothing_is_kept(queue: Queue) -> None:
    dead = await queue.dead()
    await queue.repository.requeue(dead.id)
    assert await told(queue, dead.id) == []


async def test_the_newest_are_given_oldest_first(queue: Queue) -> None:
    pending = await queue.pending()
    for actor in ("one", "two", "three"):
        await queue.repository.mark_read(pending.id, actor=actor)
    assert await told(queue, pending.id, limit=2) == [("two", "mark read"), ("three", "mark read")]
