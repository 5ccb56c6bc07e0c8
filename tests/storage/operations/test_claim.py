import asyncio
from datetime import timedelta

import pytest

from storage.database import Database
from storage.models import Room
from storage.repository import NotificationRepository
from tests.builders import LEASE, NOON, TOOK, UNLIMITED, Queue, SettableClock, request
from tests.storage.raw_sql import insert_row


async def messages(queue: Queue, *, slots: int = 1000) -> list[str]:
    return [claim.notification.message for claim in await queue.claim_due(slots=slots)]


async def test_a_claim_holds_the_notification_until_its_lease_expires(queue: Queue) -> None:
    notification = await queue.pending()
    (claim,) = await queue.claim_due(worker="worker-7", lease=timedelta(seconds=30))
    held = await queue.repository.get(notification.id)
    assert held == claim.notification
    assert (held.lease_owner, held.attempt_count, held.claimed_at) == ("worker-7", 1, NOON)
    assert held.lease_expires_at == claim.expires_at == NOON + timedelta(seconds=30)


async def test_a_claimed_notification_is_not_claimed_again(queue: Queue) -> None:
    await queue.claimed()
    assert await queue.claim_due(worker="worker-2") == ()


async def test_two_processes_never_claim_the_same_notification(queue: Queue, database_url: str) -> None:
    for _ in range(40):
        await queue.pending()
    async with Database.open(database_url, clock=queue.clock) as other:
        sides = [queue.repository, NotificationRepository(other)]
        answers = await asyncio.gather(
            *(sides[turn % 2].claim(request(f"worker-{turn}", LEASE, 5, UNLIMITED)) for turn in range(12))
        )
    claimed = [claim.notification.id for found in answers for claim in found.claims]
    assert len(claimed) == len(set(claimed)) == 40


async def test_the_oldest_is_claimed_first(queue: Queue, clock: SettableClock) -> None:
    for message in ("first", "second", "third"):
        await queue.pending(message=message)
        clock.advance(timedelta(seconds=1))
    assert await messages(queue, slots=2) == ["first", "second"]


async def test_the_oldest_of_all_channels_is_claimed_first(queue: Queue, clock: SettableClock) -> None:
    for message, channel in (
        ("first", "Slack"),
        ("second", "Teams"),
        ("third", "Slack"),
        ("fourth", "Teams"),
    ):
        await queue.pending(message=message, channel=channel)
        clock.advance(timedelta(seconds=1))
    assert await messages(queue, slots=3) == ["first", "second", "third"]


async def test_pending_and_failed_are_claimed_in_the_order_they_are_due(
    queue: Queue, clock: SettableClock
) -> None:
    await queue.failed(message="due after 1 minute", wait=timedelta(minutes=1))
    await queue.failed(message="due after 3 minutes", wait=timedelta(minutes=3))
    clock.advance(timedelta(minutes=2))
    await queue.pending(message="accepted after 2 minutes")
    clock.advance(timedelta(minutes=1))
    assert await messages(queue) == ["due after 1 minute", "accepted after 2 minutes", "due after 3 minutes"]


async def test_a_failed_notification_is_due_after_its_backoff(queue: Queue, clock: SettableClock) -> None:
    await queue.failed(message="again", wait=timedelta(minutes=4))
    clock.advance(timedelta(minutes=4) - timedelta(microseconds=1))
    assert await messages(queue) == []
    clock.advance(timedelta(microseconds=1))
    assert await messages(queue) == ["again"]


async def test_a_failed_notification_without_a_schedule_is_due_at_once(
    queue: Queue, database_url: str
) -> None:
    insert_row(database_url, status="failed", next_retry_at=None, message="from certctl's server")
    assert await messages(queue) == ["from certctl's server"]


async def test_failed_notifications_without_a_schedule_are_claimed_oldest_first(
    queue: Queue, database_url: str
) -> None:
    for age in (1, 3, 2):
        created_at = NOON - timedelta(hours=age)
        insert_row(database_url, id=str(age), message=f"{age} h old", status="failed", created_at=created_at)
    assert await messages(queue, slots=2) == ["3 h old", "2 h old"]


@pytest.mark.parametrize("state", ["sent", "dead", "read", "skipped"])
async def test_settled_notifications_are_never_due(queue: Queue, clock: SettableClock, state: str) -> None:
    await getattr(queue, state)()
    clock.advance(timedelta(days=365))
    assert await messages(queue) == []


async def test_a_claim_takes_no_more_of_a_channel_than_it_has_room_for(queue: Queue) -> None:
    for number in range(3):
        await queue.pending(message=f"Slack {number}", channel="Slack")
        await queue.pending(message=f"Teams {number}", channel="Teams")
    claims = await queue.claim_due(room=Room(2, {"Slack": 1}))
    assert sorted(claim.notification.channel for claim in claims) == ["Slack", "Teams", "Teams"]


async def test_a_channel_without_room_does_not_delay_others(queue: Queue, clock: SettableClock) -> None:
    await queue.pending(channel="Slack")
    clock.advance(timedelta(seconds=1))
    await queue.pending(channel="Teams")
    (claim,) = await queue.claim_due(slots=1, room=Room(1, {"Slack": 0}))
    assert claim.notification.channel == "Teams"


@pytest.mark.parametrize("slots", [0, -1])
async def test_without_slots_nothing_is_claimed(queue: Queue, slots: int) -> None:
    await queue.pending()
    assert await queue.claim_due(slots=slots) == ()


async def test_each_claim_of_a_notification_has_its_own_number(queue: Queue, clock: SettableClock) -> None:
    notification = await queue.pending()
    numbers = []
    for _ in range(3):
        claim = await queue.claim(notification.id)
        numbers.append(claim.number)
        await queue.repository.record_failed_attempt(claim, TOOK, "HTTP 503", timedelta(0))
    assert numbers == [1, 2, 3]


async def test_a_suspect_is_claimed_only_on_request(queue: Queue) -> None:
    await queue.abandoned(times=3, message="suspect")
    await queue.pending(message="innocent")
    assert await messages(queue) == ["innocent"]
    (claim,) = await queue.claim_due(suspects=True)
    assert claim.notification.message == "suspect"


async def test_two_abandoned_attempts_do_not_make_a_suspect(queue: Queue) -> None:
    await queue.abandoned(times=2)
    assert await queue.claim_due(suspects=True) == ()
    assert len(await queue.claim_due()) == 1


@pytest.mark.parametrize("channel", ["Carrier pigeon", "", "ключ", "a'b"])
async def test_unusual_channel_names_are_claimed_too(queue: Queue, database_url: str, channel: str) -> None:
    insert_row(database_url, channel=channel)
    (claim,) = await queue.claim_due()
    assert claim.notification.channel == channel
