"""A process that is stopped, as by a laptop's lid or a debugger, and wakes when its lease is long over."""

import asyncio
import signal

import pytest

from storage.database import Database
from storage.models import NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.reliability.fleet import WORKER, Fleet
from tests.reliability.progress import until, until_sent
from tests.reliability.receiver import Arrival, Receiver


@pytest.mark.both_databases
async def test_a_worker_that_lost_its_lease_while_stopped_can_t_change_what_another_took(
    database: Database, receiver: Receiver, fleet: Fleet
) -> None:
    continued = asyncio.Event()

    async def keep_the_first_waiting(arrival: Arrival) -> None:
        if arrival is receiver.arrivals[0]:
            await continued.wait()

    receiver.consider = keep_the_first_waiting
    repository = NotificationRepository(database)
    accepted = await repository.accept(new_notification())
    notification_id = accepted.notification.id

    async def late_outcome() -> bool:
        return any(attempt.late for attempt in await repository.attempts(notification_id))

    stopped = await fleet.start(*WORKER)
    await receiver.receives(1)
    stopped.send_signal(signal.SIGSTOP)
    await fleet.start(*WORKER)
    await receiver.receives(2)
    await until_sent(database, 1)
    taken = await repository.get(notification_id)

    continued.set()
    stopped.send_signal(signal.SIGCONT)
    await until(database, late_outcome)
    await stopped.tells(f"{notification_id}, attempt 1, came after its lease was lost and is refused")

    assert (taken.status, taken.attempt_count, taken.retry_count) == (NotificationStatus.SENT, 2, 0)
    assert await repository.get(notification_id) == taken
    first, second = await repository.attempts(notification_id)
    assert (first.late, second.late) == (True, False)
    assert first.worker != second.worker
    assert await fleet.end() == [0, 0]
