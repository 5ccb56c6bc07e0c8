"""What may be done to a notification in each state: the table of eligible states, the actions on one and on
many notifications, and the filter used by previews agree."""

import pytest

from storage.errors import NotificationConflictError
from storage.models import AuditAction, BulkReport, NotificationFilter, NotificationStatus
from storage.operations.actions import ELIGIBLE
from tests.builders import NOON, Queue

STATES = ("pending", "sent", "skipped", "failed", "dead", "read")


@pytest.mark.parametrize("action", [AuditAction.REQUEUE, AuditAction.MARK_READ, AuditAction.PURGE])
async def test_filters_counts_and_bulk_actions_follow_the_table(queue: Queue, action: AuditAction) -> None:
    rule, repository = ELIGIBLE[action], queue.repository
    made = [await getattr(queue, state)(channel=state) for state in STATES]
    expected = {n.id for n in made if rule.includes(n.status, undelivered=n.undelivered)}
    eligible = NotificationFilter(eligible_for=action)
    assert set((await repository.matching_ids(eligible, limit=100)).ids) == expected
    assert await repository.count(eligible) == len(expected)
    for status in NotificationStatus:
        of_status = NotificationFilter(statuses=(status,), eligible_for=action)
        found = {n.id for n in (await repository.list(of_status)).items}
        assert found == {n.id for n in made if n.id in expected and n.status is status}
    shares = await repository.breakdown(NotificationFilter())
    changing = {
        share.channel for share in shares if rule.includes(share.status, undelivered=share.undelivered)
    }
    assert changing == {n.channel for n in made if n.id in expected}
    ids = [n.id for n in made]
    if action is AuditAction.PURGE:
        queue.clock.advance(NOON - NOON.replace(year=2025))
        statuses = tuple(NotificationStatus)
        report = await repository.purge_all(ids, statuses=statuses, created_until=queue.clock())
    else:
        report = await {
            AuditAction.REQUEUE: repository.requeue_all,
            AuditAction.MARK_READ: repository.mark_all_read,
        }[action](ids)
    assert report == BulkReport(changed=len(expected), other_status=len(STATES) - len(expected))


@pytest.mark.parametrize("state", STATES)
async def test_a_single_action_follows_the_table(queue: Queue, state: str) -> None:
    notification = await getattr(queue, state)()
    rule = ELIGIBLE[AuditAction.REQUEUE]
    if rule.includes(notification.status, undelivered=notification.undelivered):
        assert (await queue.repository.requeue(notification.id)).status is NotificationStatus.PENDING
    else:
        with pytest.raises(NotificationConflictError) as conflict:
            await queue.repository.requeue(notification.id)
        assert conflict.value.reason == rule.refusal
