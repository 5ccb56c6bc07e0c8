"""A webhook receiver that records when each request began and ended."""

import asyncio
import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.reliability.fleet import PATIENCE


@dataclass
class Arrival:
    """One request. `key` lets a receiver recognize repeats."""

    key: str
    message: str
    begun: float
    ended: float = float("inf")


async def _at_once(_: Arrival) -> None:
    pass


@dataclass
class Receiver:
    """Accepts every request, after awaiting `before_response`."""

    before_response: Callable[[Arrival], Awaitable[object]] = _at_once
    url: str = ""
    arrivals: list[Arrival] = field(default_factory=list)
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def wait_for_requests(self, number: int = 1) -> None:
        """Return once this many requests have arrived."""
        async with asyncio.timeout(PATIENCE.total_seconds()), self._more:
            await self._more.wait_for(lambda: len(self.arrivals) >= number)

    @property
    def by_message(self) -> Mapping[str, list[Arrival]]:
        found = defaultdict(list)
        for arrival in self.arrivals:
            found[arrival.message].append(arrival)
        return found

    async def handle(self, request: web.Request) -> web.Response:
        contents = (await request.json())["data"]
        arrival = Arrival(request.headers["webhook-id"], contents["message"], time.monotonic())
        self.arrivals.append(arrival)
        async with self._more:
            self._more.notify_all()
        try:
            await self.before_response(arrival)
        finally:
            # Also if the sender hangs up, which cancels this task.
            arrival.ended = time.monotonic()
        return web.Response()


@asynccontextmanager
async def receiving(receiver: Receiver, listener: socket.socket | None = None) -> AsyncIterator[Receiver]:
    """At the listener, or on a free local port."""
    application = web.Application()
    application.router.add_post("/", receiver.handle)
    listener = listener or socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        receiver.url = f"http://{host}:{port}/"
        yield receiver
    finally:
        await runner.cleanup()
