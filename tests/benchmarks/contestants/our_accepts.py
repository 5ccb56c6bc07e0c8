"""Callers that share our repository. Arguments: the database's path, callers, seconds."""

import asyncio
import json
import sys

from storage.database import Database
from storage.repository import NotificationRepository
from tests.benchmarks.contestants.callers import accepts_by
from tests.benchmarks.contestants.posts import ALERT


async def accept(path: str, callers: int, seconds: float) -> dict[str, float]:
    async with Database.open(f"sqlite:///{path}") as database:
        repository = NotificationRepository(database)
        return await accepts_by(callers, seconds, lambda: repository.accept(ALERT))


if __name__ == "__main__":
    database_path, number, length = sys.argv[1:]
    print(json.dumps(asyncio.run(accept(database_path, int(number), float(length)))))
