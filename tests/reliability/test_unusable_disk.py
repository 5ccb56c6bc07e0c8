"""While a worker can't write to the disk it must send nothing, because it couldn't record the outcome."""

import resource

import pytest

from storage.database import Database
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.reliability.fleet import READY, WORKER, Fleet
from tests.reliability.receiver import Receiver
from tests.reliability.wait_until import wait_until_sent


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux can limit another process")
async def test_nothing_is_sent_until_the_disk_can_be_written(
    database: Database, receiver: Receiver, fleet: Fleet
) -> None:
    worker = await fleet.start(*WORKER)
    await worker.wait_for_output(READY)
    pid = worker.process.pid
    unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
    for _ in range(3):
        await NotificationRepository(database).accept(new_notification())
    await worker.wait_for_output("trying again in 1 s")
    assert receiver.arrivals == []

    resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
    await wait_until_sent(database, 3)
    assert len(receiver.arrivals) == 3
    assert "the disk reports an error; trying again in 1 s" in worker.output
