"""The HTTP connections of the process, shared by all its HTTP channels and opened at the first request."""

from datetime import timedelta

import aiohttp

import certctl_mcp
from certctl_mcp.notifiers.http.failures import Timeouts
from certctl_mcp.notifiers.http.observed_connection import ObservedResponse, ObservingConnector
from certctl_mcp.notifiers.network.name_resolution import HttpResolver, Resolver
from storage.clock import Clock, utc_now

_KEEP_ALIVE_SECONDS = 30

_LONGEST_LINE = 64 * 1024
"""The most bytes of a response's head. Longer heads are not parsed, but their status still counts."""


class HttpClient:
    """Two pools of connections: one keeps them alive, the other makes a new one for each request."""

    def __init__(
        self,
        *,
        connections: int,
        connect_timeout: timedelta,
        send_timeout: timedelta,
        resolver: Resolver | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.timeouts = Timeouts(connect_timeout.total_seconds(), send_timeout.total_seconds())
        self.clock = clock
        self._connections = connections
        self._resolver = resolver or Resolver(self.timeouts.connect)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    def session(self, *, fresh: bool) -> aiohttp.ClientSession:
        """`fresh`: the one whose connections have not served a request before."""
        if fresh not in self._sessions:
            self._sessions[fresh] = self._open(fresh)
        return self._sessions[fresh]

    async def aclose(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    def _open(self, fresh: bool) -> aiohttp.ClientSession:
        keeping_alive = {} if fresh else {"keepalive_timeout": _KEEP_ALIVE_SECONDS}
        return aiohttp.ClientSession(
            connector=ObservingConnector(
                limit=self._connections,
                force_close=fresh,
                resolver=HttpResolver(self._resolver),
                use_dns_cache=False,
                **keeping_alive,
            ),
            response_class=ObservedResponse,
            # Each request has its own timeout.
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            # A few bytes may expand to gigabytes, and error texts are short enough uncompressed.
            auto_decompress=False,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
            headers={
                "Accept-Encoding": "identity",
                "User-Agent": f"certctl-mcp/{certctl_mcp.__version__}",
            },
        )
