"""The receiver of all contestants: a local HTTP server in its own process, which only counts.

Run as a program, it prints its port. `GET /reached/N` responds once N posts have arrived in total. `GET
/arrivals` returns when those to `/timed` arrived, by their `webhook-id`, in seconds of the machine's
monotonic clock.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

from aiohttp import web

from tests.benchmarks.workspace import ROOT

LOOPBACK = "127.0.0.1"


class Counter:
    """Counts posts."""

    def __init__(self) -> None:
        self._count = 0
        self._wanted = 0
        self._reached = asyncio.Event()
        self._arrived: dict[str, float] = {}

    async def take_timed(self, request: web.Request) -> web.Response:
        self._arrived.setdefault(request.headers["webhook-id"], time.monotonic())
        return await self.take(request)

    async def arrivals(self, _: web.Request) -> web.Response:
        arrived, self._arrived = self._arrived, {}
        return web.json_response(arrived)

    async def take(self, request: web.Request) -> web.Response:
        await request.read()
        self._count += 1
        if self._count == self._wanted:
            self._reached.set()
        return web.Response(status=204)

    async def received(self, _: web.Request) -> web.Response:
        return web.Response(text=str(self._count))

    async def reached(self, request: web.Request) -> web.Response:
        self._wanted = int(request.match_info["count"])
        self._reached.clear()
        if self._count < self._wanted:
            await self._reached.wait()
        return web.Response(text=str(self._count))


@contextmanager
def receiving() -> Iterator[str]:
    """The URL of a running receiver."""
    command = [sys.executable, "-m", "tests.benchmarks.receiver"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"http://{LOOPBACK}:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def received(receiver: str) -> int:
    """The number of posts received."""
    return _number(f"{receiver}/received")


def wait_until_received(receiver: str, count: int) -> None:
    """Return once `count` posts have arrived in total."""
    _number(f"{receiver}/reached/{count}")


def _number(url: str) -> int:
    with urlopen(url) as answer:
        return int(answer.read())


async def _serve() -> None:
    counter = Counter()
    application = web.Application()
    application.router.add_post("/hook", counter.take)
    application.router.add_post("/timed", counter.take_timed)
    application.router.add_get("/arrivals", counter.arrivals)
    application.router.add_get("/received", counter.received)
    application.router.add_get("/reached/{count}", counter.reached)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
