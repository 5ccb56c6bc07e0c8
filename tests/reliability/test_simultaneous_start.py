"""Many processes start at the same moment, as cron jobs do."""

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
async def test_every_process_can_open_the_database_and_accept(database_url: str) -> None:
    command = (sys.executable, "-m", "tests.reliability.simultaneous_start", database_url, str(PROCESSES))
    program = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    output, _ = await program.communicate()
    assert output.decode() == ""
    async with Database.open(database_url) as database:
        assert await NotificationRepository(database).count(NotificationFilter()) == PROCESSES
