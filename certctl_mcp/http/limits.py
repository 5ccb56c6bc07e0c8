"""Limits on requests: size, time to send the body, and rate."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from certctl_mcp.config.http_settings import HttpSettings
from certctl_mcp.http.auth.principal import caller_name
from certctl_mcp.http.client_address import client_address
from certctl_mcp.http.problem_details import problem_response

BODY_TIMEOUT = timedelta(seconds=30)
"""How long a client may take to send the body of a request."""

MAX_KEYS = 10_000
"""The number of buckets kept; the least recently used one is dropped first."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class TokenBuckets:
    """Token buckets by key: `burst` at once and `rate` per second on average."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait(self, key: str) -> float:
        """Seconds until a token is available; 0 if one is."""
        bucket = self._filled(key)
        return 0 if bucket.tokens >= 1 else (1 - bucket.tokens) / self._rate

    def take(self, key: str) -> float:
        """Take a token if one is available; otherwise return the seconds to wait."""
        wait = self.wait(key)
        if not wait:
            self._buckets[key].tokens -= 1
        return wait

    def _filled(self, key: str) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(self._burst, now))
        self._buckets.move_to_end(key)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.filled_at) * self._rate)
        bucket.filled_at = now
        if len(self._buckets) > MAX_KEYS:
            self._buckets.popitem(last=False)
        return bucket


class RateLimit:
    """Middleware that limits the request rate of each caller, or of each address if there are no keys."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._buckets = TokenBuckets(settings.rate_limit_rps, settings.rate_limit_burst)
        self._keyed = settings.authenticates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = caller_name(scope) if self._keyed else "-"
        wait = self._buckets.take(client_address(scope) if name == "-" else f"key {name}")
        if wait:
            response = problem_response(scope, 429, "Too many requests; slow down.", retry_after(wait))
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class BodyLimit:
    """Middleware that reads the whole body before anything else and refuses one that is too large."""

    def __init__(self, app: ASGIApp, max_bytes: int, timeout: timedelta = BODY_TIMEOUT) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout = timeout.total_seconds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body: bytes | None = None
        try:
            async with asyncio.timeout(self._timeout):
                if self._declared(scope) <= self._max_bytes:
                    body = await self._read(receive)
        except TimeoutError:
            response = problem_response(
                scope, 408, f"The body did not arrive within {self._timeout:g} s.", _CLOSE
            )
            await response(scope, receive, send)
            return
        except _DisconnectedError:
            return
        if body is None:
            message = f"The body is too large; the limit is {self._max_bytes} bytes."
            response = problem_response(scope, 413, message, _CLOSE)
            await response(scope, receive, send)
            return
        await self._app(scope, _Replay(body, receive), send)

    def _declared(self, scope: Scope) -> int:
        declared = Headers(scope=scope).get("content-length", "")
        return int(declared) if declared.isdecimal() else 0

    async def _read(self, receive: Receive) -> bytes | None:
        """The body; None if it is too large."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _DisconnectedError
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)


class _DisconnectedError(Exception):
    """The client has disconnected."""


class _Replay:
    """A `receive` that returns the body already read, and then what follows it."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


_CLOSE = {"Connection": "close"}
"""The rest of the body is not read."""


def retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds)))}
