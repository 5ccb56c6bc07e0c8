"""httpx2 alone, without durability, on our event loop.

Arguments: the receiver's URL, number of posts, concurrency.
"""

import asyncio
import json
import sys
import time

import httpx2

from certctl_mcp.runtime.event_loop import run
from tests.benchmarks.contestants.posts import CONTENT_TYPE, posts


async def deliver(url: str, count: int, concurrency: int) -> dict[str, float]:
    waiting = posts(url, count)

    async def post_waiting(client: httpx2.AsyncClient) -> None:
        while waiting:
            post = waiting.pop()
            headers = {**CONTENT_TYPE, **post.headers}
            response = await client.post(url, content=post.body, headers=headers)
            response.raise_for_status()

    limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx2.AsyncClient(limits=limits) as client:
        begun, worked = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(concurrency):
                tasks.create_task(post_waiting(client))
        return {
            "delivered": count / (time.perf_counter() - begun),
            "processor time": (time.process_time() - worked) / count * 1e6,
        }


if __name__ == "__main__":
    receiver, how_many, at_once = sys.argv[1:]
    print(json.dumps(run(deliver, f"{receiver}/hook", int(how_many), int(at_once))))
