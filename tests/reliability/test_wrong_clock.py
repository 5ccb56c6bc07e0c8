"""A worker whose clock is a year ahead claims an alert and is killed; another delivers it at once."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from storage.database import Database
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.reliability.fleet import READY, WORKER, Fleet, Launch
from tests.reliability.receiver import Arrival, Receiver
from tests.reliability.wait_until import wait_until_sent

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
YEAR_AHEAD = {"FAKETIME": "+365d", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}

pytestmark = [
    pytest.mark.both_databases,
    pytest.mark.skipif(not LIBRARIES and not os.environ.get("CI"), reason="needs libfaketime"),
]


async def test_a_claim_from_a_wrong_clock_delays_nothing(
    database: Database, receiver: Receiver, fleet: Fleet
) -> None:
    killed = asyncio.Event()

    async def wait_for_the_kill(_: Arrival) -> None:
        await killed.wait()

    receiver.before_response = wait_for_the_kill
    ahead = Launch(WORKER, settings=YEAR_AHEAD | {"LD_PRELOAD": str(LIBRARIES[-1])}, fresh=True)
    wrong = await fleet.launch(ahead)
    await wrong.wait_for_output(READY)
    accepted = await NotificationRepository(database).accept(new_notification())
    await receiver.wait_for_requests(1)
    wrong.send_signal(signal.SIGKILL)
    await wrong.wait_for_exit()
    killed.set()
    await fleet.start(*WORKER)
    await wait_until_sent(database, 1)
    assert {arrival.key for arrival in receiver.arrivals} == {accepted.notification.id}
    assert len(receiver.arrivals) == 2
