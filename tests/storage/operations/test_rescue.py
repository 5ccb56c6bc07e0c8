"""While certctl delivers by itself, without leases, only the alerts that it has given up on are rescued."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

import pytest

from storage.database import Database
from storage.models import Claim, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import CHANNELS, LEASE, NOON, TOOK, WAIT, SettableClock, new_notification, request
from tests.storage.raw_sql import insert_row, rows, run

GRACE = timedelta(minutes=5)
VISIBLE_TO_CERTCTL = (
    "SELECT id FROM notification_events WHERE status = 'pending' "
    "OR (status = 'failed' AND next_retry_at IS NOT NULL)"
)


@pytest.fixture
def rescuing(database: Database) -> NotificationRepository:
    return NotificationRepository(database, rescue_after=GRACE)


async def claimed(
    repository: NotificationRepository, channels: Collection[str] = CHANNELS
) -> dict[str, Claim]:
    found = await repository.claim(request(channels=channels))
    return {claim.notification.id: claim for claim in found.claims}


async def test_a_failed_alert_without_a_retry_time_is_rescued_after_the_grace_period(
    rescuing: NotificationRepository, fresh_url: str, clock: SettableClock
) -> None:
    insert_row(fresh_url, status="failed")
    assert await claimed(rescuing) == {}
    assert await rescuing.next_due_at(after=NOON, channels=CHANNELS) == NOON + GRACE
    clock.advance(GRACE)
    assert (await claimed(rescuing)).keys() == {"foreign-1"}
    assert rows(fresh_url, VISIBLE_TO_CERTCTL) == []


async def test_a_pending_alert_is_first_hidden_from_certctl_and_rescued_later(
    rescuing: NotificationRepository, fresh_url: str, clock: SettableClock
) -> None:
    insert_row(fresh_url)
    clock.advance(GRACE - timedelta(seconds=1))
    assert await claimed(rescuing) == {}
    assert rows(fresh_url, VISIBLE_TO_CERTCTL) == [("foreign-1",)]
    clock.advance(timedelta(seconds=1))
    assert await claimed(rescuing) == {}
    assert rows(fresh_url, VISIBLE_TO_CERTCTL) == []
    assert await rescuing.next_due_at(after=clock.now, channels=CHANNELS) == NOON + 2 * GRACE
    clock.advance(GRACE)
    assert (await claimed(rescuing)).keys() == {"foreign-1"}


@pytest.mark.parametrize("status", ["sent", "read"])
async def test_an_alert_that_certctl_settles_meanwhile_is_not_attempted(
    rescuing: NotificationRepository, fresh_url: str, clock: SettableClock, status: str
) -> None:
    insert_row(fresh_url)
    clock.advance(GRACE)
    await claimed(rescuing)
    run(fresh_url, f"UPDATE notification_events SET status = '{status}'")
    clock.advance(GRACE)
    assert await claimed(rescuing) == {}
    assert await rescuing.next_due_at(after=NOON, channels=CHANNELS) is None


async def test_alerts_that_certctl_retries_or_of_other_channels_are_left_alone(
    rescuing: NotificationRepository, fresh_url: str, clock: SettableClock
) -> None:
    insert_row(fresh_url, id="scheduled", status="failed", next_retry_at=NOON)
    insert_row(fresh_url, id="elsewhere", status="failed", channel="Fax")
    insert_row(fresh_url, id="waiting", channel="Fax")
    before = rows(fresh_url, "SELECT * FROM notification_events ORDER BY id")
    clock.advance(3 * GRACE)
    assert await claimed(rescuing) == {}
    assert rows(fresh_url, "SELECT * FROM notification_events ORDER BY id") == before
    (stuck,) = await rescuing.stuck_channels(GRACE)
    assert (stuck.channel, stuck.waiting) == ("Fax", 2)


async def test_retries_of_a_rescued_alert_are_hidden_from_certctl(
    rescuing: NotificationRepository, fresh_url: str, clock: SettableClock
) -> None:
    insert_row(fresh_url, status="failed")
    clock.advance(GRACE)
    claims = await claimed(rescuing)
    assert await rescuing.record_failed_attempt(claims["foreign-1"], TOOK, "HTTP 503", WAIT)
    failed = await rescuing.get("foreign-1")
    assert (failed.status, failed.retry_count) == (NotificationStatus.FAILED, 1)
    assert failed.next_attempt_at == clock.now + WAIT
    assert rows(fresh_url, VISIBLE_TO_CERTCTL) == []
    assert (await rescuing.queue_counts()).next_retry_at == clock.now + WAIT
    assert await claimed(rescuing) == {}
    clock.advance(WAIT)
    claims = await claimed(rescuing)
    assert await rescuing.mark_as_dead(claims["foreign-1"], TOOK, "HTTP 503")
    assert (await rescuing.get("foreign-1")).status is NotificationStatus.DEAD


async def test_rescued_and_ordinary_outcomes_in_one_batch_are_each_written_correctly(
    rescuing: NotificationRepository, repository: NotificationRepository, fresh_url: str, clock: SettableClock
) -> None:
    for number in range(2):
        insert_row(fresh_url, id=f"rescued-{number}", status="failed")
    clock.advance(GRACE)
    rescued = await claimed(rescuing)
    for number in range(2):
        insert_row(fresh_url, id=f"ordinary-{number}")
    ordinary = await claimed(repository)
    ended = await asyncio.gather(
        *(rescuing.record_failed_attempt(claim, TOOK, "HTTP 503", WAIT) for claim in rescued.values()),
        *(repository.record_failed_attempt(claim, TOOK, "HTTP 503", WAIT) for claim in ordinary.values()),
    )
    assert ended == [True] * 4
    assert sorted(rows(fresh_url, VISIBLE_TO_CERTCTL)) == [("ordinary-0",), ("ordinary-1",)]


async def test_our_outcome_does_not_overwrite_the_one_of_certctl(
    rescuing: NotificationRepository, fresh_url: str, clock: SettableClock
) -> None:
    insert_row(fresh_url, status="failed")
    clock.advance(GRACE)
    claims = await claimed(rescuing)
    run(fresh_url, "UPDATE notification_events SET status = 'sent'")
    assert not await rescuing.record_failed_attempt(claims["foreign-1"], TOOK, "HTTP 503", WAIT)
    assert (await rescuing.get("foreign-1")).status is NotificationStatus.SENT


async def test_an_interrupted_attempt_is_due_again(
    rescuing: NotificationRepository, fresh_url: str, clock: SettableClock
) -> None:
    insert_row(fresh_url, status="failed")
    clock.advance(GRACE)
    claims = await claimed(rescuing)
    assert await rescuing.record_abandoned(claims["foreign-1"], TOOK, "stopped")
    claims = await claimed(rescuing)
    clock.advance(LEASE)
    assert (await claimed(rescuing)).keys() == claims.keys() == {"foreign-1"}
    assert rows(fresh_url, VISIBLE_TO_CERTCTL) == []


async def test_our_own_and_requeued_alerts_are_attempted_at_once(
    rescuing: NotificationRepository, fresh_url: str, clock: SettableClock
) -> None:
    accepted = await rescuing.accept(new_notification())
    assert rows(fresh_url, VISIBLE_TO_CERTCTL) == []
    (claim,) = (await claimed(rescuing)).values()
    assert claim.notification.id == accepted.notification.id
    assert await rescuing.get(claim.notification.id) == replace(
        accepted.notification,
        lease_owner=claim.worker,
        lease_expires_at=claim.expires_at,
        claimed_at=claim.started_at,
        attempt_count=1,
    )
    await rescuing.mark_as_dead(claim, TOOK, "HTTP 410")
    await rescuing.requeue(claim.notification.id)
    assert rows(fresh_url, VISIBLE_TO_CERTCTL) == []
    (claim,) = (await claimed(rescuing)).values()
    await rescuing.mark_as_dead(claim, TOOK, "HTTP 410")
    assert (await rescuing.requeue_all([claim.notification.id])).changed == 1
    assert (await claimed(rescuing)).keys() == {claim.notification.id}


async def test_a_process_that_delivers_everything_continues_rescued_alerts(
    rescuing: NotificationRepository, repository: NotificationRepository, fresh_url: str, clock: SettableClock
) -> None:
    insert_row(fresh_url)
    clock.advance(GRACE)
    await claimed(rescuing)
    (claim,) = (await claimed(repository)).values()
    await repository.record_failed_attempt(claim, TOOK, "HTTP 503", WAIT)
    assert (await repository.get("foreign-1")).next_retry_at == clock.now + WAIT
    assert await claimed(rescuing) == await claimed(repository) == {}


async def test_without_a_rescuing_process_abandoned_alerts_are_stuck(
    repository: NotificationRepository, fresh_url: str, clock: SettableClock
) -> None:
    insert_row(fresh_url, id="failed", status="failed")
    insert_row(fresh_url, id="scheduled", status="failed", next_retry_at=NOON)
    insert_row(fresh_url, id="waiting")
    assert [one.waiting for one in await repository.stuck_channels(GRACE)] == [1]
    clock.advance(GRACE)
    assert [one.waiting for one in await repository.stuck_channels(GRACE)] == [2]
