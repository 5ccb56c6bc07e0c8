"""How does a process come by its connections to PostgreSQL, and leave them though nobody answers there?

A server that is paused, or cut off, does not say so: whoever waits for it waits within a limit.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from itertools import count
from types import MappingProxyType
from typing import Any
from weakref import WeakSet

import asyncpg
from sqlalchemy import AdaptedConnection, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from storage.engine.postgresql.url import Address

ASK_AFTER = timedelta(seconds=2)
ANSWERED_WITHIN = timedelta(seconds=5)
"""A connection that was idle for longer than the first is asked whether it is still there, and is taken for
lost after the second."""

LET_GO_AFTER = timedelta(seconds=3)
"""What is under way when a process leaves may take as long."""


_NONE: Mapping[str, str] = MappingProxyType({})

IDLE_SINCE = "certctl_mcp_idle_since"
"""When a connection was last used, among what is known of it: told by who held it unused, or else when it is
given back."""


class Connecting:
    """Makes the connections of one process to one database."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._engines: list[AsyncEngine] = []
        self._connections: WeakSet[Any] = WeakSet()
        self._beginning: set[asyncio.Timeout] = set()
        self._leaving: asyncio.TimerHandle | None = None
        self._left = False
        self._numbers = count(1)

    def engine(
        self,
        longest: timedelta | None,
        *,
        prepared: bool = False,
        settings: Mapping[str, str] = _NONE,
        **options: Any,
    ) -> AsyncEngine:
        """Whose connections wait at most so long for each answer, and begin with these settings.

        `prepared` statements are parsed once. Others have no name, and are planned for what they are given.
        """

        async def connect(**_: object) -> asyncpg.Connection:
            return await self._connect(longest, settings)

        arguments: dict[str, Any] = {"async_creator_fn": connect}
        if self._address.behind_pooler:
            # A statement without name lasts as long as it must, whichever connection of the server it is on.
            arguments |= {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str}
        elif prepared:
            arguments |= {"prepared_statement_name_func": self._next_name}
        engine = create_async_engine("postgresql+asyncpg://", connect_args=arguments, **options)
        _asked_before_use(engine)
        self._engines.append(engine)
        return engine

    def leave_soon(self) -> None:
        """Whatever still waits for the server after a while fails, and so does whatever asks for it then."""
        loop = asyncio.get_running_loop()
        self._leaving = loop.call_later(LET_GO_AFTER.total_seconds(), self._leave)

    async def close(self) -> None:
        """Waits for nobody: a server that is gone would be waited for again and again."""
        if self._leaving is not None:
            self._leaving.cancel()
        self._leave()
        for engine in self._engines:
            await engine.dispose()

    async def _connect(self, longest: timedelta | None, settings: Mapping[str, str]) -> asyncpg.Connection:
        async with asyncio.timeout(None) as limit:
            self._beginning.add(limit)
            if self._left:
                limit.reschedule(0)
            try:
                connection = await asyncpg.connect(
                    self._address.dsn,
                    timeout=self._address.patience.total_seconds(),
                    command_timeout=None if longest is None else longest.total_seconds(),
                    server_settings=dict(self._address.settings),
                    # SQLAlchemy keeps what it has prepared.
                    statement_cache_size=0,
                )
                self._connections.add(connection)
                if settings:
                    await _set(connection, settings)
            finally:
                self._beginning.discard(limit)
        return connection

    def _next_name(self) -> str:
        return f"certctl_mcp_{next(self._numbers)}"

    def _leave(self) -> None:
        self._left = True
        for limit in self._beginning:
            limit.reschedule(0)
        for connection in list(self._connections):
            # The server is told, but not listened to.
            connection.terminate()


async def _set(connection: asyncpg.Connection, settings: Mapping[str, str]) -> None:
    """For the session; not as it begins, for a pooler refuses what it does not know."""
    try:
        await connection.execute("; ".join(f"SET {name} = '{value}'" for name, value in settings.items()))
    except BaseException:
        connection.terminate()
        raise


def _asked_before_use(engine: AsyncEngine) -> None:
    """Have a connection asked whether it is still there, if it was idle for long enough that it may not be.

    Where it is not, neither are those that are as old as it: a server that does not answer would have each
    of them waited for in turn.
    """

    @event.listens_for(engine.sync_engine, "checkout")
    def ask(connection: AdaptedConnection, record: ConnectionPoolEntry, _proxy: object) -> None:
        idle_since = record.info.pop(IDLE_SINCE, None)
        try:
            if idle_since is not None and time.monotonic() - idle_since > ASK_AFTER.total_seconds():
                connection.run_async(_ask)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as failure:
            raise InvalidatePoolError(str(failure)) from failure
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError("the connection was lost")

    @event.listens_for(engine.sync_engine, "checkin")
    def note(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info.setdefault(IDLE_SINCE, time.monotonic())


async def _ask(connection: asyncpg.Connection) -> None:
    await connection.execute("SELECT", timeout=ANSWERED_WITHIN.total_seconds())
