"""procrastinate delivering a backlog, which it accepts in batches.

Arguments: the database's URL, the receiver's URL, number of jobs, concurrency, connections, and whether
finished jobs are deleted: `always` or `never`.
"""

import asyncio
import json
import sys
import time
from typing import Literal, cast

from procrastinate.types import JSONValue

from tests.benchmarks.contestants.posts import posts
from tests.benchmarks.contestants.procrastinate_queue import create_schema, opened
from tests.benchmarks.receiver import received

BATCH = 500


async def deliver(
    url: str,
    receiver: str,
    count: int,
    concurrency: int,
    connections: int,
    delete_jobs: Literal["always", "never"],
) -> dict[str, float]:
    to = f"{receiver}/hook"
    await create_schema(url)
    async with opened(url, to, connections, concurrency) as queue:
        jobs: list[dict[str, JSONValue]] = [
            {"body": post.body.decode(), "headers": dict(post.headers)} for post in posts(to, count)
        ]
        before = received(receiver)
        begun = time.perf_counter()
        for first in range(0, count, BATCH):
            await queue.post.batch_defer_async(*jobs[first : first + BATCH])
        accepted, worked = time.perf_counter(), time.process_time()
        await queue.work(concurrency, delete_jobs, wait=False)
        ended = time.perf_counter()
        assert received(receiver) == before + count
        return {
            "delivered": count / (ended - accepted),
            "accepted and delivered": count / (ended - begun),
            "processor time": (time.process_time() - worked) / count * 1e6,
        }


if __name__ == "__main__":
    database, to, how_many, at_once, pool, delete = sys.argv[1:]
    kept = cast(Literal["always", "never"], delete)
    measured = deliver(database, to, int(how_many), int(at_once), int(pool), kept)
    print(json.dumps(asyncio.run(measured)))
