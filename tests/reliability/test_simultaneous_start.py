"""Many processes start at the same moment, as cron jobs do."""

from contextlib import closing
from subprocess import PIPE

import pytest

from storage.database import Database
from storage.models import NotificationFilter
from storage.repository import NotificationRepository
from tests.exploration import size
from tests.processes import Program

PROCESSES = size(short=40, long=200)


@pytest.mark.sqlite
async def test_every_process_can_open_the_database_and_accept(database_url: str) -> None:
    program = Program("tests.reliability.simultaneous_start", database_url, str(PROCESSES), stdout=PIPE)
    with closing(program):
        assert program.stdout
        assert program.stdout.read() == b""
    async with Database.open(database_url) as database:
        assert await NotificationRepository(database).count(NotificationFilter()) == PROCESSES
