"""Posts a second of HTTP clients: the reason for aiohttp, although `httpx2` comes with `mcp`.

Run `python -m tests.benchmarks.http_clients`. Receiver and client share one process, so the figures compare
clients but don't measure throughput. Posts a second on two otherwise idle cores, with Python 3.11, aiohttp
3.14.5 and httpx2 2.16.2: 6,882 with aiohttp as the notifiers use it, 7,554 with plain aiohttp, 1,649 with
httpx2.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import aiohttp
import httpx2
from aiohttp import web
from aiohttp.test_utils import TestServer

from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.http.endpoint import Endpoint

BODY = b'{"a": 1}'
POSTS = 2000
CONCURRENCY = 10


async def answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response()


async def rate(post: Callable[[], Awaitable[object]]) -> float:
    """Posts a second, after a few that open the connections."""
    await asyncio.gather(*(post() for _ in range(CONCURRENCY)))
    turns = iter(range(POSTS))

    async def work() -> None:
        for _ in turns:
            await post()

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
    return POSTS / (time.perf_counter() - begun)


async def main() -> None:
    application = web.Application()
    application.router.add_post("/", answer)
    async with TestServer(application) as server, aiohttp.ClientSession() as plain:
        url = str(server.make_url("/"))
        ours = HttpClient(
            connections=CONCURRENCY,
            connect_timeout=timedelta(seconds=5),
            send_timeout=timedelta(seconds=10),
        )
        endpoint = Endpoint(ours, url, ())

        async def post_plainly() -> None:
            async with plain.post(url, data=BODY) as response:
                await response.read()

        print(f"aiohttp as the notifiers use it: {await rate(lambda: endpoint.post(BODY, {})):.0f} posts/s")
        print(f"aiohttp as it comes: {await rate(post_plainly):.0f} posts/s")
        async with httpx2.AsyncClient() as other:
            print(f"httpx2: {await rate(lambda: other.post(url, content=BODY)):.0f} posts/s")
        await ours.aclose()


if __name__ == "__main__":
    asyncio.run(main())
