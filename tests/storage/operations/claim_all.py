"""A program that claims everything that is due. Its arguments are the database's URL and the worker's name.

Once it has opened the database, it prints `ready` and waits for the end of its input; then it prints the ids.
"""

import asyncio
import json
import sys

from storage.database import Database
from storage.repository import NotificationRepository
from tests.builders import SettableClock, request

SLOTS = 7


async def claim_all(repository: NotificationRepository, worker: str) -> list[str]:
    """The ids that a worker claims until nothing is due."""
    claimed: list[str] = []
    while claims := (await repository.claim(request(worker, slots=SLOTS))).claims:
        claimed += [claim.notification.id for claim in claims]
    return claimed


async def _run(url: str, worker: str) -> None:
    async with Database.open(url, clock=SettableClock()) as database:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps(await claim_all(NotificationRepository(database), worker)))


if __name__ == "__main__":
    asyncio.run(_run(*sys.argv[1:]))
