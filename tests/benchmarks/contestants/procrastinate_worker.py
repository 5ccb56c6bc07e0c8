"""procrastinate's worker, until it is terminated. Arguments: the database's URL, the receiver's URL,
concurrency."""

import asyncio
import sys

from tests.benchmarks.contestants.procrastinate_queue import CONNECTIONS, create_schema, opened


async def work(url: str, receiver: str, concurrency: int) -> None:
    await create_schema(url)
    async with opened(url, f"{receiver}/timed", CONNECTIONS, concurrency) as queue:
        print("ready", flush=True)
        await queue.work(concurrency, "never", wait=True)


if __name__ == "__main__":
    database, to, at_once = sys.argv[1:]
    asyncio.run(work(database, to, int(at_once)))
