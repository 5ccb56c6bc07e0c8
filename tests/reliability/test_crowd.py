"""Many processes start at once, as a host starts its servers or cron its jobs."""

import asyncio
import sys
from asyncio.subprocess import PIPE

import pytest

from storage.database import Database
from storage.models import NotificationFilter
from storage.repository import NotificationRepository
from tests.exploration import size

PROCESSES = size(short=40, long=200)


@pytest.mark.sqlite
async def test_a_crowd_that_starts_together_is_served_one_and_all(database_url: str) -> None:
    crowd = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.reliability.crowd", database_url, str(PROCESSES), stdout=PIPE
    )
    told, _ = await crowd.communicate()
    assert told.decode() == ""
    async with Database.open(database_url) as database:
        assert await NotificationRepository(database).count(NotificationFilter()) == PROCESSES
