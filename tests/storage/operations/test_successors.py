from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from storage.database import Database
from storage.models import Death, Notification, NotificationFilter, NotificationStatus
from storage.operations.leases import MAX_ABANDONED
from storage.repository import NotificationRepository
from tests.builders import LEASE, TIMES_TO_BE_SUSPECT, TOOK, Queue, SettableClock, notification

Deaths = list[Death]


@pytest.fixture
def deaths() -> Deaths:
    return []


@pytest.fixture
def queue(database: Database, clock: SettableClock, deaths: Deaths) -> Queue:
    """A queue in which each dead letter creates a notification about it, all with the same key."""

    def successors(death: Death) -> Sequence[Notification]:
        deaths.append(death)
        about = f"about {death.notification.id}"
        return [
            notification(
                id=about,
                type="Death",
                message=about,
                created_at=death.at,
                idempotency_key="key",
                origin_id="x",
            )
        ]

    return Queue(NotificationRepository(database, successors=successors), clock)


async def about_deaths(queue: Queue) -> tuple[Notification, ...]:
    return (await queue.repository.list(NotificationFilter(type="Death"))).items


async def test_a_dead_letter_and_its_successor_are_written_together(queue: Queue, deaths: Deaths) -> None:
    dead = await queue.dead("HTTP 410")
    (about,) = await about_deaths(queue)
    assert (about.status, about.message, about.origin_id) == (
        NotificationStatus.PENDING,
        f"about {dead.id}",
        "x",
    )
    (death,) = deaths
    assert (death.notification.id, death.error, death.at) == (dead.id, "HTTP 410", queue.clock())


async def test_a_successor_can_be_claimed_at_once(queue: Queue) -> None:
    await queue.dead()
    (claim,) = await queue.claim_due()
    assert claim.notification.type == "Death"


async def test_successors_with_the_same_key_are_accepted_once(queue: Queue) -> None:
    for _ in range(3):
        await queue.dead()
    assert len(await about_deaths(queue)) == 1


async def test_a_refused_outcome_has_no_successor(queue: Queue) -> None:
    claim = await queue.claimed()
    queue.clock.advance(LEASE)
    await queue.claim_due(worker="worker-2")
    assert not await queue.repository.mark_as_dead(claim, TOOK, "HTTP 410")
    assert await about_deaths(queue) == ()


async def test_only_dead_letters_have_successors(queue: Queue, deaths: Deaths) -> None:
    await queue.sent()
    await queue.failed()
    await queue.skipped()
    await queue.abandoned()
    assert deaths == []


async def die_after_expired_leases(queue: Queue) -> str:
    return (await queue.abandoned(times=MAX_ABANDONED)).id


async def die_after_crashed_children(queue: Queue) -> str:
    almost = await queue.abandoned(times=MAX_ABANDONED - 1)
    claim = await queue.claim(almost.id, suspects=True)
    await queue.repository.record_crash(claim, TOOK, "the process was killed", timedelta(minutes=1))
    return almost.id


@pytest.mark.parametrize("die", [die_after_expired_leases, die_after_crashed_children])
async def test_death_after_too_many_abandoned_attempts_has_a_successor_too(
    queue: Queue, deaths: Deaths, die: Callable[[Queue], Awaitable[str]]
) -> None:
    assert TIMES_TO_BE_SUSPECT < MAX_ABANDONED
    died = await die(queue)
    assert (await queue.repository.get(died)).status is NotificationStatus.DEAD
    (death,) = deaths
    assert (death.notification.id, death.error.partition(":")[0]) == (died, "abandoned 10 times")
    (about,) = await about_deaths(queue)
    assert about.message == f"about {died}"
