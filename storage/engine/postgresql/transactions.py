"""Transactions on PostgreSQL: one at a time, on a connection that is replaced when it is lost."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from math import inf
from time import monotonic
from typing import TypeVar

from sqlalchemy import Connection, RootTransaction, func, literal, select, text
from sqlalchemy.engine.interfaces import IsolationLevel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from storage.clock import Clock, utc_now
from storage.engine.per_database import for_postgresql
from storage.engine.postgresql import durability
from storage.engine.postgresql.connections import CHECK_AFTER_IDLE, IDLE_SINCE
from storage.engine.postgresql.database_clock import DatabaseClock
from storage.engine.transaction import CommitUnansweredError, Transaction, TransactionFailedError
from storage.sql.prepared_postgresql import PreparedPostgresql
from storage.sql.sync import SYNC

Result = TypeVar("Result")

TRIES = 4
"""How many times a transaction that conflicts with others is tried before its callers get the error."""

STANDBY = "25006"
"""read_only_sql_transaction: the server is no longer the primary, or not yet."""

_COLLISIONS = frozenset({"40001", "40P01"})
"""serialization_failure and deadlock_detected: the same transaction can succeed later."""

CLOCK_INTERVAL = timedelta(seconds=1)
"""The interval between queries for the database's time."""

REPLAN_INTERVAL = timedelta(seconds=10)
"""The interval after which statements are planned again: the best index for an empty table may not be the
best for a large one."""

_REPLAN = text("DISCARD PLANS")

_ASKED_AT = "certctl_mcp_asked_at"
_PLANNED_AT = "certctl_mcp_planned_at"


class Transactions:
    """Runs work in transactions; see `Transact`."""

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock | None,
        database_clock: DatabaseClock,
        settings: Mapping[str, str],
        *,
        may_sync_last: bool = False,
    ) -> None:
        """`settings` are applied in every transaction, if its connection lacks them."""
        self._engine = engine
        self._connection: AsyncConnection | None = None
        self._level: IsolationLevel | None = None
        self._used_at = -inf
        self._clock = clock
        self._has_settings = bool(settings)
        self._database_clock = database_clock
        self.pid: int | None = None
        """The server's number of the connection."""
        self._may_sync_last = may_sync_last
        self._ask = select(
            func.clock_timestamp(),
            func.pg_backend_pid(),
            *(func.set_config(literal(name), literal(value), True) for name, value in settings.items()),
            *([durability.for_transaction()] if settings else ()),
        )

    async def __call__(self, work: Callable[[Transaction], Result], *, repeatable: bool) -> Result:
        # Without a transaction, its settings would not apply to the next statement.
        repeatable = repeatable and not self._has_settings
        tries = 1
        while True:
            try:
                return await self._once(work, repeatable)
            except DBAPIError as failure:
                collided = sqlstate(failure) in _COLLISIONS
                lost = failure.connection_invalidated
                # Nothing was committed, or it is safe to repeat.
                if tries >= (TRIES if collided else 2) or not (collided or lost):
                    if lost:
                        raise _failed(failure, changed=repeatable) from failure
                    raise
                tries += 1

    async def close(self) -> None:
        """Return the connection to its pool."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _once(self, work: Callable[[Transaction], Result], repeatable: bool) -> Result:
        try:
            connection = await self._connected("AUTOCOMMIT" if repeatable else "READ COMMITTED")
        except (DBAPIError, OSError) as failure:
            raise TransactionFailedError(failure) from failure
        try:
            return await connection.run_sync(self._do, work, repeatable)
        finally:
            self._used_at = monotonic()

    async def _connected(self, level: IsolationLevel) -> AsyncConnection:
        """The connection. It is kept, because taking one from the pool takes as long as several statements.
        After an idle period it goes through the pool, which checks it."""
        if self._connection is not None and self._connection.invalidated:
            await self.close()
        elif self._connection is not None and monotonic() - self._used_at > CHECK_AFTER_IDLE.total_seconds():
            self._connection.info[IDLE_SINCE] = self._used_at
            await self.close()
        if self._connection is None:
            self._connection = await self._engine.connect()
            self._level = None
        if self._level != level:
            await self._connection.execution_options(isolation_level=level)
            self._level = level
        return self._connection

    def _do(self, connection: Connection, work: Callable[[Transaction], Result], repeatable: bool) -> Result:
        transaction = connection.begin()
        try:
            self._prepare(connection)
            may_sync_last = repeatable and self._may_sync_last
            changing = Transaction(connection, self._clock, for_postgresql, may_sync_last=may_sync_last)
            result = work(changing)
            if changing.unsynced:
                _sync(connection)
        except TimeoutError as failure:
            # The server may be cut off, and a rollback would wait for it again.
            _abandon(connection, transaction)
            raise _failed(failure, changed=repeatable) from failure
        except BaseException as failure:
            if sqlstate(failure) == STANDBY:
                # The host name may resolve to another server next time.
                _abandon(connection, transaction)
            else:
                _roll_back(connection, transaction)
            raise
        try:
            transaction.commit()
        except (DBAPIError, OSError) as failure:
            if isinstance(failure, DBAPIError) and not failure.connection_invalidated:
                raise
            _abandon(connection, transaction)
            raise _failed(failure, changed=True) from failure
        return result

    def _prepare(self, connection: Connection) -> None:
        """Apply the settings, and keep the time and the statements' plans up to date."""
        now = monotonic()
        if not self._has_settings and now - connection.info.get(_ASKED_AT, -inf) < _CLOCK_SECONDS:
            return
        asked_at = utc_now()
        reported, pid, *_ = connection.execute(self._ask).one()
        self._database_clock.set(reported, asked_at)
        self.pid = pid
        connection.info[_ASKED_AT] = now
        if now - connection.info.setdefault(_PLANNED_AT, now) >= REPLAN_INTERVAL.total_seconds():
            connection.execute(_REPLAN)
            connection.info[_PLANNED_AT] = now


_SYNC = PreparedPostgresql(lambda: SYNC)


def _sync(connection: Connection) -> None:
    """Wait until everything that was committed is on the disk."""
    try:
        _SYNC.execute(connection)
    except DBAPIError as failure:
        if failure.connection_invalidated:
            raise
        raise _failed(failure, changed=True) from failure


_CLOCK_SECONDS = CLOCK_INTERVAL.total_seconds()


def _roll_back(connection: Connection, transaction: RootTransaction) -> None:
    """A server that can't be reached rolls back by itself."""
    try:
        transaction.rollback()
    except (DBAPIError, OSError):
        _abandon(connection, transaction)


def _abandon(connection: Connection, transaction: RootTransaction) -> None:
    """Drop both without contacting the server."""
    connection.invalidate()
    transaction.close()


def _failed(failure: Exception, *, changed: bool) -> TransactionFailedError:
    """`changed`: the database may have made the change before the connection was lost."""
    return TransactionFailedError(CommitUnansweredError() if changed else failure)


def sqlstate(failure: BaseException) -> str | None:
    return getattr(failure.orig, "sqlstate", None) if isinstance(failure, DBAPIError) else None
