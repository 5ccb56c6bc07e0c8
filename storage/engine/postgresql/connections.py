"""Connections to PostgreSQL on which every wait has a timeout, even closing.

A server that hangs or is cut off sends no error.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
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

from storage.engine.postgresql.durability import SESSION_STATEMENT
from storage.engine.postgresql.url import Address

CHECK_AFTER_IDLE = timedelta(seconds=2)
"""A connection that was idle for longer is checked before use."""

CHECK_TIMEOUT = timedelta(seconds=5)
"""A connection that doesn't respond to a check within this time counts as lost."""

CLOSE_TIMEOUT = timedelta(seconds=3)
"""How long running statements may take once the process starts to close."""

_NONE: Mapping[str, str] = MappingProxyType({})

IDLE_SINCE = "certctl_mcp_idle_since"
"""The key in a connection's info for when it was last used; set by its holder, or when it is returned."""


class ConnectionFactory:
    """Makes the connections of one process to one database."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._engines: list[AsyncEngine] = []
        self._connections: WeakSet[Any] = WeakSet()
        self._connecting: set[asyncio.Timeout] = set()
        self._closing: asyncio.TimerHandle | None = None
        self._closed = False
        self._numbers = count(1)

    def engine(
        self,
        response_timeout: timedelta | None,
        *,
        prepared: bool = False,
        durable: bool = False,
        settings: Mapping[str, str] = _NONE,
        **options: Any,
    ) -> AsyncEngine:
        """An engine whose connections have these settings and this limit for every response.

        `prepared` statements are parsed once. Others are unnamed, and planned for their parameters. With
        `durable`, a commit is on the server's disk before it returns.
        """

        session = [f"SET {name} = '{value}'" for name, value in settings.items()]
        if durable and not self._address.behind_pooler:
            session.append(SESSION_STATEMENT)

        async def connect(**_: object) -> asyncpg.Connection:
            return await self._connect(response_timeout, session)

        arguments: dict[str, Any] = {"async_creator_fn": connect}
        if self._address.behind_pooler:
            # An unnamed statement lasts long enough on whichever server connection runs it.
            arguments |= {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str}
        elif prepared:
            arguments |= {"prepared_statement_name_func": self._next_name}
        engine = create_async_engine("postgresql+asyncpg://", connect_args=arguments, **options)
        _check_before_use(engine)
        self._engines.append(engine)
        return engine

    def prepare_to_close(self) -> None:
        """Make everything that waits for the server fail after a short time."""
        loop = asyncio.get_running_loop()
        self._closing = loop.call_later(CLOSE_TIMEOUT.total_seconds(), self._terminate)

    async def close(self) -> None:
        """Close all connections without waiting for a server that may be gone."""
        if self._closing is not None:
            self._closing.cancel()
        self._terminate()
        for engine in self._engines:
            await engine.dispose()

    async def _connect(
        self, response_timeout: timedelta | None, session: Sequence[str]
    ) -> asyncpg.Connection:
        async with asyncio.timeout(None) as limit:
            self._connecting.add(limit)
            if self._closed:
                limit.reschedule(0)
            try:
                connection = await asyncpg.connect(
                    self._address.dsn,
                    timeout=self._address.connect_timeout.total_seconds(),
                    command_timeout=None if response_timeout is None else response_timeout.total_seconds(),
                    server_settings=dict(self._address.settings),
                    # SQLAlchemy keeps the prepared statements.
                    statement_cache_size=0,
                )
                self._connections.add(connection)
                if session:
                    await _prepare(connection, session)
            finally:
                self._connecting.discard(limit)
        return connection

    def _next_name(self) -> str:
        return f"certctl_mcp_{next(self._numbers)}"

    def _terminate(self) -> None:
        self._closed = True
        for limit in self._connecting:
            # One that has expired can't be changed any more.
            if not limit.expired():
                limit.reschedule(0)
        for connection in list(self._connections):
            # Notifies the server without waiting for a response.
            connection.terminate()


async def _prepare(connection: asyncpg.Connection, session: Sequence[str]) -> None:
    """Change settings of the session; a pooler would refuse unknown ones in the startup message."""
    try:
        await connection.execute("; ".join(session))
    except BaseException:
        connection.terminate()
        raise


def _check_before_use(engine: AsyncEngine) -> None:
    """Before use, check connections that have been idle for long enough to be lost.

    If one is lost, the pool drops all that are as old. Otherwise each of them would wait for a server that
    doesn't respond.
    """

    @event.listens_for(engine.sync_engine, "checkout")
    def check(connection: AdaptedConnection, record: ConnectionPoolEntry, _proxy: object) -> None:
        idle_since = record.info.pop(IDLE_SINCE, None)
        try:
            if idle_since is not None and time.monotonic() - idle_since > CHECK_AFTER_IDLE.total_seconds():
                connection.run_async(_ping)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as failure:
            raise InvalidatePoolError(str(failure)) from failure
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError("the connection was lost")

    @event.listens_for(engine.sync_engine, "checkin")
    def note(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info.setdefault(IDLE_SINCE, time.monotonic())


async def _ping(connection: asyncpg.Connection) -> None:
    await connection.execute("SELECT", timeout=CHECK_TIMEOUT.total_seconds())
