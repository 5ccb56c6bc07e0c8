"""How much may a client ask for? Sizes of requests, time to send them, and rates."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from certctl_mcp.config.http_settings import HttpSettings
from certctl_mcp.http.api.problem_details import problem
from certctl_mcp.http.auth.principal import name_of
from certctl_mcp.http.client_address import address_of

BODY_WITHIN = timedelta(seconds=30)
"""How long a client may take to send the body of a request."""

MOST_REMEMBERED = 10_000
"""Buckets; the one unused for longest is forgotten first."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class Buckets:
    """Token buckets by key: `burst` at once, and `rate` a second in the long run."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait(self, key: str) -> float:
        """Seconds until there is something to take; 0 if there is now."""
        bucket = self._filled(key)
        return 0 if bucket.tokens >= 1 else (1 - bucket.tokens) / self._rate

    def take(self, key: str) -> float:
        """As `wait`, and take it if it is there."""
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
        if len(self._buckets) > MOST_REMEMBERED:
            self._buckets.popitem(last=False)
        return bucket


class LimitedRates:
    """Middleware that refuses what comes too fast: from one caller, or from one address without a key."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._buckets = Buckets(settings.rate_limit_rps, settings.rate_limit_burst)
        self._keyed = settings.authenticates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = name_of(scope) if self._keyed else "-"
        wait = self._buckets.take(address_of(scope) if name == "-" else f"key {name}")
        if wait:
            refused = problem(scope, 429, "Too many requests at once; slow down.", retry_after(wait))
            await refused(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class LimitedBodies:
    """Middleware that reads the body of a request before anything is done, and refuses one too large."""

    def __init__(self, app: ASGIApp, most_bytes: int, within: timedelta = BODY_WITHIN) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._within = within.total_seconds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body: bytes | None = None
        try:
            with anyio.fail_after(self._within):
                if self._declared(scope) <= self._most_bytes:
                    body = await self._read(receive)
        except TimeoutError:
            refused = problem(scope, 408, f"The body did not arrive within {self._within:g} s.", _CLOSE)
            await refused(scope, receive, send)
            return
        except _DisconnectedError:
            return
        if body is None:
            message = f"The body of a request may have {self._most_bytes} bytes."
            refused = problem(scope, 413, message, _CLOSE)
            await refused(scope, receive, send)
            return
        await self._app(scope, _Replay(body, receive), send)

    def _declared(self, scope: Scope) -> int:
        declared = Headers(scope=scope).get("content-length", "")
        return int(declared) if declared.isdecimal() else 0

    async def _read(self, receive: Receive) -> bytes | None:
        """None where it is too large."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _DisconnectedError
            body += message.get("body", b"")
            if len(body) > self._most_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)


class _DisconnectedError(Exception):
    """Nobody waits for an answer."""


class _Replay:
    """Gives the body that was read, and then what comes after it."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


_CLOSE = {"Connection": "close"}
"""What is still to come of the body is not waited for."""


def retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds)))}
