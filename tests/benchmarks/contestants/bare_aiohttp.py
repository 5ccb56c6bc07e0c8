"""aiohttp alone, without durability, on our event loop.

Arguments: the receiver's URL, number of posts, concurrency.
"""

import asyncio
import json
import sys
import time

import aiohttp

from certctl_mcp.runtime.event_loop import run
from tests.benchmarks.contestants.posts import CONTENT_TYPE, posts


async def deliver(url: str, count: int, concurrency: int) -> dict[str, float]:
    waiting = posts(url, count)

    async def post_waiting(session: aiohttp.ClientSession) -> None:
        while waiting:
            post = waiting.pop()
            headers = {**CONTENT_TYPE, **post.headers}
            async with session.post(url, data=post.body, headers=headers) as response:
                await response.read()
                response.raise_for_status()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
        begun, worked = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(concurrency):
                tasks.create_task(post_waiting(session))
        return {
            "delivered": count / (time.perf_counter() - begun),
            "processor time": (time.process_time() - worked) / count * 1e6,
        }


if __name__ == "__main__":
    receiver, how_many, at_once = sys.argv[1:]
    print(json.dumps(run(deliver, f"{receiver}/hook", int(how_many), int(at_once))))
