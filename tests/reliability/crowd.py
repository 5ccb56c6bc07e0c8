"""A crowd of processes that open one database at the same moment; each accepts an alert at once.

Run as a program with the database's URL and the number of processes. It prints what went wrong in any of
them.
"""

import asyncio
import os
import sys
from datetime import timedelta

from storage.database import Database
from storage.errors import StorageError
from storage.repository import NotificationRepository
from tests.builders import new_notification

BUSY_TIMEOUT = timedelta(seconds=2)
"""Less than a large crowd takes. Nobody may be sent away while others make progress."""


async def _accept(url: str) -> None:
    async with Database.open(url, busy_timeout=BUSY_TIMEOUT) as database:
        await NotificationRepository(database).accept(new_notification())


def _started(url: str, gate: int) -> int:
    """The id of a process that has all it needs in memory, and waits at the gate."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.read(gate, 1)
            asyncio.run(_accept(url))
            code = 0
        except StorageError as error:
            print(error, flush=True)
        finally:
            os._exit(code)
    return child


def _run(url: str, number: int) -> None:
    gate, opened = os.pipe()
    children = [_started(url, gate) for _ in range(number)]
    os.write(opened, b"." * number)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    _run(sys.argv[1], int(sys.argv[2]))
