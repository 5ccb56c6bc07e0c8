"""The open connections of the HTTP server, kept within limits.

No client can take all connections: an idle connection is closed to make room for a new one, starting with the
address that has the most. uvicorn has a single limit, beyond which it answers 503 to everyone.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from certctl_mcp.http.client_address import address_group

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 2000

_RESERVED_FILES = 256
"""File descriptors kept for the database, the channels and connections that are being refused."""


@dataclass(eq=False, slots=True)
class Connection:
    """One accepted connection."""

    group: str
    """The address to which the limits apply."""
    close: Callable[[], None]
    """Closes it at once."""
    idle_since: float | None = field(default_factory=time.monotonic)
    """None while a request is in flight."""


class Connections:
    """Admits up to `limit` connections, and half as many from one address unless it is a trusted proxy."""

    def __init__(self, limit: int, is_trusted: Callable[[str], bool] = lambda _: False) -> None:
        self._limit = limit
        self._share = max(1, limit // 2)
        self._is_trusted = is_trusted
        self._groups: dict[str, set[Connection]] = {}
        self._count = 0

    @property
    def count(self) -> int:
        return self._count

    @property
    def busy(self) -> int:
        """How many have a request in flight."""
        return sum(one.idle_since is None for group in self._groups.values() for one in group)

    def admit(self, address: str, close: Callable[[], None]) -> Connection | None:
        """A connection from `address`; None if there is no room. `close` is called if it must make room for
        another."""
        group = address_group(address)
        if not self._is_trusted(address) and len(self._groups.get(group, ())) >= self._share:
            if not self._close_idle(self._groups[group]):
                return None
        elif self._count >= self._limit and not self.close_one():
            return None
        connection = Connection(group, close)
        self._groups.setdefault(group, set()).add(connection)
        self._count += 1
        return connection

    def remove(self, connection: Connection) -> None:
        """Forget a connection that has ended. Does nothing if it was removed before."""
        group = self._groups.get(connection.group, set())
        if connection in group:
            group.remove(connection)
            self._count -= 1
            if not group:
                del self._groups[connection.group]

    def close_one(self) -> bool:
        """Close the longest idle connection of the address with the most connections. False if all are
        busy."""
        by_size = sorted(self._groups.values(), key=len, reverse=True)
        return any(self._close_idle(group) for group in by_size)

    def _close_idle(self, group: Iterable[Connection]) -> bool:
        idle = [
            (connection.idle_since, connection) for connection in group if connection.idle_since is not None
        ]
        if not idle:
            return False
        _, longest = min(idle, key=lambda found: found[0])
        self.remove(longest)
        longest.close()
        return True


def connection_limit(max_files: int) -> int:
    """The number of connections for which `max_files` file descriptors leave room."""
    return min(MAX_CONNECTIONS, max(max_files - _RESERVED_FILES, max_files // 4))
