"""The disk refuses what a worker writes. Then it must send nothing, for it could not say that it has."""

import resource

import pytest

from storage.database import Database
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.reliability.fleet import READY, WORKER, Fleet
from tests.reliability.progress import until_sent
from tests.reliability.receiver import Receiver


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
async def test_while_nothing_can_be_written_nothing_is_sent_and_then_everything(
    database: Database, receiver: Receiver, fleet: Fleet
) -> None:
    worker = await fleet.start(*WORKER)
    await worker.tells(READY)
    pid = worker.process.pid
    unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
    for _ in range(3):
        await NotificationRepository(database).accept(new_notification())
    await worker.tells("trying again in 1 s")
    assert receiver.arrivals == []

    resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
    await until_sent(database, 3)
    assert len(receiver.arrivals) == 3
    assert "the disk reports an error; trying again in 1 s" in worker.told
