"""Sends through our queue. Arguments: the database's URL, the receiver's URL, number of alerts, rate a
second."""

import asyncio
import json
import sys

from storage.database import Database
from storage.repository import NotificationRepository
from tests.benchmarks.contestants.latency import sent_at_rate
from tests.benchmarks.contestants.posts import ALERT


async def send(url: str, receiver: str, count: int, rate: float) -> dict[str, float]:
    async with Database.open(url) as database:
        repository = NotificationRepository(database)

        async def accept() -> str:
            return (await repository.accept(ALERT)).notification.id

        return await sent_at_rate(accept, receiver, count, rate)


if __name__ == "__main__":
    database, to, how_many, a_second = sys.argv[1:]
    print(json.dumps(asyncio.run(send(database, to, int(how_many), float(a_second)))))
