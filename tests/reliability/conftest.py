import os
import random
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from storage.database import Database
from tests.context_in_task import ContextInTask
from tests.reliability.fleet import Fleet
from tests.reliability.receiver import Receiver, receiving

SEND_TIMEOUT = timedelta(seconds=2)
LEASE = timedelta(seconds=3)


@pytest.fixture
def chance() -> random.Random:
    """A random generator whose seed is printed when the test fails; SEED repeats it."""
    seed = int(os.environ.get("SEED") or random.randrange(2**32))
    print(f"SEED={seed}")
    return random.Random(seed)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The database shared by the fleet, with the real clock."""
    context = ContextInTask(Database.open(database_url))
    yield await context.enter()
    await context.exit()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    context = ContextInTask(receiving(Receiver()))
    yield await context.enter()
    await context.exit()


@pytest.fixture
async def fleet(database_url: str, receiver: Receiver) -> AsyncIterator[Fleet]:
    """Processes that deliver to the receiver, with leases short enough for a test to wait for."""
    fleet = Fleet(short_lease_settings(database_url, receiver))
    yield fleet
    await fleet.kill()
    # Shown when the test fails.
    print(fleet.output)


def short_lease_settings(database_url: str, receiver: Receiver) -> dict[str, str]:
    """Settings of a process that delivers from the database to the receiver."""
    return {
        "CERTCTL_DATABASE_URL": database_url,
        "CERTCTL_WEBHOOK_URL": receiver.url,
        "CERTCTL_NOTIFICATION_SEND_TIMEOUT": f"{SEND_TIMEOUT.total_seconds():g}s",
        "CERTCTL_NOTIFICATION_LEASE": f"{LEASE.total_seconds():g}s",
        "CERTCTL_NOTIFICATION_BACKOFF_BASE": "0.2s",
    }
