"""Sends through procrastinate. Arguments: the database's URL, the receiver's URL, number of jobs, rate a
second."""

import asyncio
import json
import sys

from tests.benchmarks.contestants.latency import WARMING_UP, sent_at_rate
from tests.benchmarks.contestants.posts import posts
from tests.benchmarks.contestants.procrastinate_queue import CONNECTIONS, opened


async def send(url: str, receiver: str, count: int, rate: float) -> dict[str, float]:
    waiting = posts(receiver, count + WARMING_UP)
    async with opened(url, receiver, CONNECTIONS, CONNECTIONS) as queue:

        async def accept() -> str:
            post = waiting.pop()
            await queue.post.configure().defer_async(body=post.body.decode(), headers=dict(post.headers))
            return post.headers["webhook-id"]

        return await sent_at_rate(accept, receiver, count, rate)


if __name__ == "__main__":
    database, to, how_many, a_second = sys.argv[1:]
    print(json.dumps(asyncio.run(send(database, to, int(how_many), float(a_second)))))
