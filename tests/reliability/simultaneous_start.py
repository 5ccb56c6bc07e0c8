"""A program that opens one database from many processes at the same moment; each accepts an alert at once.

Its arguments are the database's URL and the number of processes. It prints their errors.
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
"""Shorter than this many processes need. No process may time out while others make progress."""


async def _accept(url: str) -> None:
    async with Database.open(url, busy_timeout=BUSY_TIMEOUT) as database:
        await NotificationRepository(database).accept(new_notification())


def _fork(url: str, gate: int) -> int:
    """Fork a process that waits at the gate with its imports done; returns its process id."""
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
    children = [_fork(url, gate) for _ in range(number)]
    os.write(opened, b"." * number)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    _run(sys.argv[1], int(sys.argv[2]))
