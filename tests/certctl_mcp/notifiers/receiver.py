"""An HTTP receiver on loopback that records requests and returns the configured response."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Responds to every request with `status`, `headers` and `body`, or repeats the request in the body."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    repeats: bool = False
    received: list[Received] = field(default_factory=list)

    @property
    def only(self) -> Received:
        (request,) = self.received
        return request

    @property
    def host(self) -> str:
        return self.url.partition("://")[2].rstrip("/")

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.received.append(Received(request.raw_path, request.headers, body))
        said = f"{request.url} {dict(request.headers)} {body.decode()}" if self.repeats else self.body
        return web.Response(status=self.status, headers=self.headers, text=said)


@asynccontextmanager
async def serve() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.handle)
    async with TestServer(application) as server:
        receiver.url = str(server.make_url("/"))
        yield receiver
