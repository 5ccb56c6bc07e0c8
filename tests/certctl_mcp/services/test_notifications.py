from datetime import timedelta
from functools import partial

import pytest

from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.services.errors import RecipientRefusedError, UnknownChannelError
from certctl_mcp.services.notifications import NotificationService
from storage.database import Database
from storage.errors import (
    IdempotencyConflictError,
    NotificationConflictError,
    NotificationNotFoundError,
)
from storage.models import AttemptOutcome, NotificationFilter, NotificationStatus
from storage.operations.processes import ALIVE_WITHIN, Heartbeat
from tests.builders import NOON, Queue, new_notification
from tests.certctl_mcp.fake_notifiers import WorkingNotifier
from tests.certctl_mcp.retry_loops import retry_loop

pytestmark = pytest.mark.both_databases

CHANNELS = {"Webhook": "webhook at example.com", "Slack": "Slack incoming webhook at hooks.slack.com"}


@pytest.fixture
def service(database: Database, queue: Queue) -> NotificationService:
    return NotificationService(queue.repository, retry_loop(database, {}), CHANNELS)


async def test_a_sent_notification_is_accepted_and_pending(
    service: NotificationService, queue: Queue
) -> None:
    accepted = await service.send(new_notification(channel="Slack"), actor="test")
    assert accepted.created
    assert accepted.notification.status is NotificationStatus.PENDING
    assert await queue.repository.get(accepted.notification.id) == accepted.notification


async def test_notifications_can_be_sent_over_a_channel_of_another_live_process(
    service: NotificationService, queue: Queue
) -> None:
    await queue.repository.heartbeat(Heartbeat("other", "host-2", "1.0", ("Teams",)))
    queue.clock.advance(ALIVE_WITHIN - timedelta(seconds=1))
    accepted = await service.send(new_notification(channel="Teams"), actor="test")
    assert accepted.notification.status is NotificationStatus.PENDING
    with pytest.raises(RecipientRefusedError, match="leave the recipient out"):
        await service.send(new_notification(channel="Teams"), actor="test", assistant=True)
    with pytest.raises(UnknownChannelError, match="Configured: Webhook, Slack, Teams"):
        await service.send(new_notification(channel="Fax"), actor="test")
    queue.clock.advance(timedelta(seconds=1))
    with pytest.raises(UnknownChannelError):
        await service.send(new_notification(channel="Teams"), actor="test")


async def test_the_diagnosis_includes_undelivered_notifications(
    service: NotificationService, queue: Queue
) -> None:
    reason = "no notifier configured for channel Slack; not delivered"
    skipped = [await queue.skipped(reason, channel="Slack") for _ in range(2)]
    await queue.dead("HTTP 410", channel="Webhook")
    await queue.sent(channel="Slack")
    found = await service.diagnose(NotificationFilter(), queue.clock(), include_failing=False)
    assert (found.dead, found.undelivered, found.failing) == (1, 2, 0)
    first = found.findings[0]
    assert (first.span.channel, first.span.undelivered, first.span.dead) == ("Slack", 2, 0)
    assert (first.span.kind, first.span.error) == (FailureKind.NO_NOTIFIER, reason)
    assert first.span.sample_id in {n.id for n in skipped}
    assert first.advice.requeue


async def test_a_repeated_key_returns_the_first_notification(service: NotificationService) -> None:
    first = await service.send(new_notification(idempotency_key="renewal-7"), actor="test")
    again = await service.send(new_notification(idempotency_key="renewal-7"), actor="test")
    assert (again.created, again.notification) == (False, first.notification)


async def test_a_repeated_key_with_other_contents_is_a_conflict(service: NotificationService) -> None:
    first = await service.send(new_notification(idempotency_key="renewal-7"), actor="test")
    with pytest.raises(IdempotencyConflictError) as refused:
        await service.send(
            new_notification(idempotency_key="renewal-7", message="something else"), actor="test"
        )
    assert refused.value.notification_id == first.notification.id


@pytest.mark.parametrize(
    ("channel", "answer"),
    [
        ("webhok", "did you mean 'Webhook'? Configured: Webhook, Slack."),
        ("slack", "did you mean 'Slack'? Configured: Webhook, Slack."),
        ("Pigeon", "no channel named 'Pigeon' is configured. Configured: Webhook, Slack."),
    ],
)
async def test_the_error_for_an_unknown_channel_suggests_the_nearest(
    service: NotificationService, queue: Queue, channel: str, answer: str
) -> None:
    with pytest.raises(UnknownChannelError) as refused:
        await service.send(new_notification(channel=channel), actor="test")
    assert answer in str(refused.value)
    assert refused.value.configured == ("Webhook", "Slack")
    assert (await queue.repository.list(NotificationFilter())).items == ()


async def test_without_any_channel_the_refusal_says_so(database: Database, queue: Queue) -> None:
    unconfigured = NotificationService(queue.repository, retry_loop(database, {}), {})
    with pytest.raises(UnknownChannelError, match="nor any other"):
        await unconfigured.send(new_notification(), actor="test")


async def test_a_notification_is_returned_with_its_attempts(
    service: NotificationService, queue: Queue
) -> None:
    failed = await queue.failed("HTTP 503")
    notification, attempts = await service.get(failed.id)
    assert notification == failed
    assert [(attempt.outcome, attempt.error) for attempt in attempts] == [(AttemptOutcome.FAILED, "HTTP 503")]


async def test_an_unknown_id_is_not_found(service: NotificationService) -> None:
    requeue = partial(service.requeue_notification, actor="test")
    mark_as_read = partial(service.mark_as_read, actor="test")
    for ask in (service.get, requeue, mark_as_read):
        with pytest.raises(NotificationNotFoundError) as refused:
            await ask("notif-unknown")
        assert refused.value.notification_id == "notif-unknown"


@pytest.mark.parametrize("state", ["dead", "failed"])
async def test_dead_and_failed_notifications_can_be_requeued(
    service: NotificationService, queue: Queue, state: str
) -> None:
    notification = await getattr(queue, state)()
    requeued = await service.requeue_notification(notification.id, actor="test")
    assert (requeued.status, requeued.retry_count) == (NotificationStatus.PENDING, 0)


@pytest.mark.parametrize("state", ["pending", "sent", "read"])
async def test_other_notifications_cannot_be_requeued_and_stay_unchanged(
    service: NotificationService, queue: Queue, state: str
) -> None:
    notification = await getattr(queue, state)()
    before = await queue.repository.get(notification.id)
    with pytest.raises(NotificationConflictError) as refused:
        await service.requeue_notification(notification.id, actor="test")
    assert refused.value.status is before.status
    assert await queue.repository.get(notification.id) == before


async def test_during_an_attempt_a_notification_cannot_be_changed(
    service: NotificationService, queue: Queue
) -> None:
    claim = await queue.claimed()
    for decide in (service.requeue_notification, service.mark_as_read):
        with pytest.raises(NotificationConflictError, match="an attempt is under way"):
            await decide(claim.notification.id, actor="test")


async def test_a_notification_marked_as_read_is_no_longer_delivered(
    service: NotificationService, queue: Queue
) -> None:
    failed = await queue.failed()
    read = await service.mark_as_read(failed.id, actor="test")
    assert (read.status, read.read_at, read.next_retry_at) == (NotificationStatus.READ, NOON, None)


async def test_retrying_now_attempts_due_notifications(database: Database, queue: Queue) -> None:
    requeued = await queue.dead()
    loop = retry_loop(database, {"Webhook": WorkingNotifier()})
    service = NotificationService(queue.repository, loop, CHANNELS)
    async with loop:
        await service.requeue_notification(requeued.id, actor="test")
        assert (await service.retry_failed_notifications()).sent == 1
    assert (await queue.repository.get(requeued.id)).delivered


async def test_channels_are_returned_as_configured_with_their_record(
    service: NotificationService, queue: Queue
) -> None:
    await queue.sent(channel="Slack")
    await queue.dead("HTTP 410", channel="Slack")
    webhook, slack = await service.channels.health()
    assert (webhook.name, webhook.destination, webhook.record) == ("Webhook", CHANNELS["Webhook"], None)
    assert slack.record is not None
    assert slack.record.outcomes == {AttemptOutcome.SENT: 1, AttemptOutcome.DEAD: 1}
    assert slack.record.last_error == "HTTP 410"
