"""Name lookups that a silent name server can't turn into an outage of every channel.

`getaddrinfo` blocks its thread for minutes if no name server answers, and can't be stopped. The event loop's
thread pool is small and shared, so lookups have their own threads: at most one per name, however many sends
wait for it.
"""

import asyncio
import socket
import time
from functools import partial

from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult

from certctl_mcp.notifiers.own_thread import in_own_thread

_CACHE_SECONDS = 30.0


class Resolver:
    """Looks up names, with at most one lookup per name at a time; addresses are cached for half a minute."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._pending: dict[str, asyncio.Future[list[AddrInfoType]]] = {}
        self._known: dict[str, tuple[float, list[AddrInfoType]]] = {}

    async def addresses(self, host: str, port: int) -> list[AddrInfoType]:
        """The addresses of `host`, in the system's order of preference.

        Raises:
            socket.gaierror: there is no such name, or no name server answered in time.
        """
        return [_with_port(info, port) for info in await self._look_up(host)]

    async def _look_up(self, host: str) -> list[AddrInfoType]:
        if (known := self._known.get(host)) and known[0] > time.monotonic():
            return known[1]
        pending = self._pending.get(host)
        if pending is None:
            pending = self._pending[host] = in_own_thread(partial(_look_up, host), f"look up {host}")
            pending.add_done_callback(lambda done: self._finish(host, done))
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.shield(pending)
        except TimeoutError:
            reason = f"no answer from the name servers within {self._timeout:g} s"
            raise socket.gaierror(socket.EAI_AGAIN, reason) from None

    def _finish(self, host: str, done: asyncio.Future[list[AddrInfoType]]) -> None:
        del self._pending[host]
        if not done.cancelled() and done.exception() is None:
            self._known[host] = (time.monotonic() + _CACHE_SECONDS, done.result())


class HttpResolver(AbstractResolver):
    """A `Resolver` with the interface that aiohttp requires."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=address[1],
                family=family_,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for family_, _, proto, _, address in await self._resolver.addresses(host, port)
            if family in (socket.AF_UNSPEC, family_)
        ]

    async def close(self) -> None:
        """Nothing is open."""


def _look_up(host: str) -> list[AddrInfoType]:
    return [*socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)]


def _with_port(info: AddrInfoType, port: int) -> AddrInfoType:
    family, kind, proto, name, address = info
    return family, kind, proto, name, (address[0], port, *address[2:])
