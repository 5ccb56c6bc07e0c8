"""A process is stopped, as by a debugger or a suspended laptop, and continues long after its lease."""

import asyncio
import signal

import pytest

from storage.database import Database
from storage.models import NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.reliability.fleet import WORKER, Fleet
from tests.reliability.receiver import Arrival, Receiver
from tests.reliability.wait_until import wait_until, wait_until_sent


@pytest.mark.both_databases
async def test_a_worker_that_lost_its_lease_while_stopped_cannot_change_what_another_took_over(
    database: Database, receiver: Receiver, fleet: Fleet
) -> None:
    continued = asyncio.Event()

    async def delay_the_first_response(arrival: Arrival) -> None:
        if arrival is receiver.arrivals[0]:
            await continued.wait()

    receiver.before_response = delay_the_first_response
    repository = NotificationRepository(database)
    accepted = await repository.accept(new_notification())
    notification_id = accepted.notification.id

    async def late_outcome() -> bool:
        return any(attempt.late for attempt in await repository.attempts(notification_id))

    stopped = await fleet.start(*WORKER)
    await receiver.wait_for_requests(1)
    stopped.send_signal(signal.SIGSTOP)
    await fleet.start(*WORKER)
    await receiver.wait_for_requests(2)
    await wait_until_sent(database, 1)
    taken = await repository.get(notification_id)

    continued.set()
    stopped.send_signal(signal.SIGCONT)
    await wait_until(database, late_outcome)
    await stopped.wait_for_output(
        f"{notification_id}, attempt 1, came after its lease was lost and is refused"
    )

    assert (taken.status, taken.attempt_count, taken.retry_count) == (NotificationStatus.SENT, 2, 0)
    assert await repository.get(notification_id) == taken
    first, second = await repository.attempts(notification_id)
    assert (first.late, second.late) == (True, False)
    assert first.worker != second.worker
    assert await fleet.end() == [0, 0]
