"""One receiver for all channels, which records every request and misbehaves as the seed decides."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.reliability.chaos.schedule import Behaviour, behaviour

LATE = 0.8
"""Seconds; less than the send timeout."""

SENDER = "X-Sender"
"""The header with the sending process's name, added by its settings."""


@dataclass
class Request:
    channel: str
    sender: str
    key: str
    message: str
    behaviour: Behaviour
    begun: float
    ended: float = float("inf")
    answered: int | None = None
    """The status, once the whole response is sent; None if the sender hung up before."""


@dataclass
class Receivers:
    seed: int
    requests: list[Request] = field(default_factory=list)
    faults: dict[str, Behaviour] = field(default_factory=dict)
    """The current fault of each channel."""
    url: str = ""
    _numbers: Counter[str] = field(default_factory=Counter)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        channel = request.match_info["channel"]
        message = (await request.json())["data"]["message"]
        self._numbers[message] += 1
        does = self.faults.get(channel) or behaviour(self.seed, message, self._numbers[message])
        record = Request(
            channel,
            request.headers[SENDER],
            request.headers["webhook-id"],
            message,
            does,
            time.monotonic(),
        )
        self.requests.append(record)
        try:
            return await self._answer(request, record)
        finally:
            # Also if the sender hangs up, which cancels this task.
            record.ended = time.monotonic()

    async def _answer(self, request: web.Request, record: Request) -> web.StreamResponse:
        match record.behaviour:
            case Behaviour.HANG:
                await asyncio.sleep(3600)
            case Behaviour.CUT:
                assert request.transport is not None
                request.transport.abort()
                await asyncio.sleep(3600)
            case Behaviour.LATE:
                await asyncio.sleep(LATE)
        status = {Behaviour.REFUSE: 503, Behaviour.GONE: 410, Behaviour.BUSY: 429}.get(record.behaviour, 204)
        response = web.Response(status=status, headers={"Retry-After": "1"} if status == 429 else None)
        await response.prepare(request)
        await response.write_eof()
        record.answered = status
        return response


@asynccontextmanager
async def receiving(receivers: Receivers) -> AsyncIterator[None]:
    application = web.Application()
    application.router.add_post("/{channel}", receivers.handle)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        await web.SockSite(runner, listener).start()
        receivers.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield
    finally:
        await runner.cleanup()
        listener.close()
