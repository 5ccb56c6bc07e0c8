"""A queue for many hosts: PostgreSQL, over asyncpg.

Its clock decides who may claim what, its messages wake who waits, and its locks keep apart who claims at the
same moment. Connections are few: one that writes, some that read, one that listens.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from math import inf
from time import monotonic
from typing import TypeVar

import anyio.to_thread
from sqlalchemy import Connection, NullPool, RootTransaction, func, literal, select, text
from sqlalchemy.engine.interfaces import IsolationLevel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from storage.clock import Clock, utc_now
from storage.engine.backend import OpenBackend
from storage.engine.changes import Changes
from storage.engine.driver_errors import BEHIND_POOLER
from storage.engine.postgresql.connections import ASK_AFTER, IDLE_SINCE, Connecting
from storage.engine.postgresql.listener import Listening
from storage.engine.postgresql.polling import Polling
from storage.engine.postgresql.privileges import is_shared_with_certctl, why_read_only
from storage.engine.postgresql.url import Address
from storage.engine.transaction import CommitUnansweredError, Transaction, TransactionFailedError
from storage.errors import StorageError
from storage.read_only import ReadOnly
from storage.schema.inspection import SchemaState, missing
from storage.schema.migrations import REVISIONS, bring_up_to_date, current_revision
from storage.schema.partial import read_incomplete_schema
from storage.sql.notify import ANNOUNCED_BY_US

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

READERS = 4
"""Connections that read at most, beside the one that listens."""

LONGEST_READ = timedelta(seconds=60)
LONGEST_WRITE = timedelta(seconds=10)
"""A statement of a transaction may take as long; far less than a lease outlives the longest attempt."""

UNANSWERED = LONGEST_WRITE + timedelta(seconds=2)
"""The server ends what takes too long, and says so. One that does not is not there."""

TOLD_WITHIN = timedelta(seconds=1)
"""What the database says of the time after longer than this is no news."""

IDLE_AT_MOST = timedelta(seconds=10)
"""After so long without a word the server ends a transaction: whoever began it may be cut off for good, and
what it has locked nobody else can claim."""

TRIES = 4
"""How often a transaction is begun that collided with another, before its callers are told."""

_STANDBY = "25006"
"""read_only_sql_transaction: the server was the primary, or is not yet."""

_FORBIDDEN = frozenset({"42501", _STANDBY})
"""insufficient_privilege, too."""

_COLLISIONS = frozenset({"40001", "40P01"})
"""serialization_failure and deadlock_detected: nothing is wrong with the transaction but its moment."""


_READING: Mapping[str, str] = {"jit": "off"}
"""To compile a statement takes the server longer than to run any of ours."""

BY_INDEX: Mapping[str, str] = {
    **_READING,
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}
"""Every statement that writes finds a few rows by an index, whatever the server last heard of a table that is
another one a minute later. To plan it for each use would take as long as to carry it out."""

PLANNED_FOR = timedelta(seconds=10)
"""After so long a statement is planned anew: which index is best on an empty table need not be the best on a
large one."""

TOLD_EVERY = timedelta(seconds=1)
"""So often the database is asked the time, from which this process's is put right."""


_PLAN_ANEW = text("DISCARD PLANS")

_ASKED = "certctl_mcp_asked"
_PLANNED = "certctl_mcp_planned"


class DatabaseClock:
    """The time of the database: this process's, put right by what the database last said."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)
        self._known = False

    def __call__(self) -> datetime:
        return utc_now() + self._ahead

    def set(self, told: datetime, asked: datetime) -> None:
        """The database told the time, having been asked at a moment of this process."""
        took = utc_now() - asked
        if not self._known or took < TOLD_WITHIN:
            self._ahead = told - (asked + took / 2)
            self._known = True


@asynccontextmanager
async def opened(
    address: Address, clock: Clock | None, busy_timeout: timedelta, migrate: bool
) -> AsyncIterator[OpenBackend]:
    """The database, migrated as needed and allowed."""
    connecting = Connecting(address)
    async with AsyncExitStack() as opening:
        opening.push_async_callback(connecting.close)
        readers = connecting.engine(
            LONGEST_READ,
            settings={} if address.behind_pooler else _READING,
            pool_size=READERS + 1,
            max_overflow=0,
            pool_timeout=address.patience.total_seconds(),
            # A transaction, behind a pooler: what a statement is prepared on is then what it runs on.
            isolation_level="READ COMMITTED" if address.behind_pooler else "AUTOCOMMIT",
        )
        async with readers.connect() as connection:
            if address.behind_pooler is None:
                await _expect_no_pooler(connection, address)
            found = await _found_revision(connection)
            if found != REVISIONS[-1] and migrate:
                migrate = await _migrated(address)
            read_only: ReadOnly | None = None
            if found != REVISIONS[-1] and not migrate:
                read_only = await connection.run_sync(read_incomplete_schema, readers, address.shown)
            read_only = read_only or await why_read_only(connection, readers)
            shared_with_certctl = await is_shared_with_certctl(connection)
        settings = {
            "lock_timeout": _milliseconds(busy_timeout),
            "statement_timeout": _milliseconds(LONGEST_WRITE),
            "idle_in_transaction_session_timeout": _milliseconds(IDLE_AT_MOST),
            ANNOUNCED_BY_US: "on",
            **BY_INDEX,
        }
        # Behind a pooler each transaction may be on another connection, which others use too.
        of_session, of_transaction = ({}, settings) if address.behind_pooler else (settings, {})
        writing = connecting.engine(
            UNANSWERED, prepared=True, settings=of_session, pool_size=1, max_overflow=0
        )
        changes: Changes
        # A standby lets nobody listen, and without the triggers there is nothing to hear.
        changes = Polling() if address.behind_pooler or read_only else Listening(readers)
        database_clock = DatabaseClock()
        transact = _Transactions(writing, clock, database_clock, changes, of_transaction)
        opening.push_async_callback(transact.close)
        await transact(lambda transaction: None, repeatable=False)
        yield OpenBackend(
            address.shown,
            found,
            readers,
            transact,
            changes,
            clock or database_clock,
            read_only,
            shared_with_certctl,
            connecting.leave_soon,
        )


async def _expect_no_pooler(connection: AsyncConnection, address: Address) -> None:
    """What is prepared, or listened to, on one connection would be missed on the next."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    at_work = (await connection.execute(select(func.pg_backend_pid()))).scalar_one()
    if driver.get_server_pid() != at_work:
        raise StorageError(f"the database {address.shown} {BEHIND_POOLER}")


async def schema_state(address: Address) -> SchemaState:
    async with _connected(address, LONGEST_READ) as connection:
        return SchemaState(await _found_revision(connection), await connection.run_sync(missing))


async def _found_revision(connection: AsyncConnection) -> str | None:
    """None also where this user may not read it."""
    try:
        return await connection.run_sync(current_revision)
    except DBAPIError as failure:
        if _sqlstate(failure) not in _FORBIDDEN:
            raise
        return None


async def _migrated(address: Address) -> bool:
    """Whether the schema is now up to date; it is not where this user may not change it."""
    try:
        await anyio.to_thread.run_sync(_migrate, address)
    except DBAPIError as failure:
        if _sqlstate(failure) not in _FORBIDDEN:
            raise
        logger.warning("the schema of %s can't be brought up to date: %s", address.shown, failure.orig)
        return False
    return True


def _migrate(address: Address) -> None:
    """In a thread that has nothing else to do meanwhile."""

    async def migrate() -> None:
        async with _connected(address, None) as connection:
            await connection.run_sync(bring_up_to_date)

    asyncio.run(migrate())


@asynccontextmanager
async def _connected(address: Address, longest: timedelta | None) -> AsyncIterator[AsyncConnection]:
    """For once."""
    connecting = Connecting(address)
    try:
        async with connecting.engine(longest, poolclass=NullPool).connect() as connection:
            yield connection
    finally:
        await connecting.close()


class _Transactions:
    """One at a time, on a connection that is made anew when it was lost."""

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock | None,
        database_clock: DatabaseClock,
        changes: Changes,
        settings: Mapping[str, str],
    ) -> None:
        """`settings` are those that each transaction needs, where its connection has not begun with them."""
        self._engine = engine
        self._connection: AsyncConnection | None = None
        self._level: IsolationLevel | None = None
        self._used_at = -inf
        self._clock = clock
        self._in_each = bool(settings)
        self._database_clock = database_clock
        self._changes = changes
        self._ask = select(
            func.clock_timestamp(),
            func.pg_backend_pid(),
            *(func.set_config(literal(name), literal(value), True) for name, value in settings.items()),
        )

    async def __call__(self, work: Callable[[Transaction], Result], *, repeatable: bool) -> Result:
        # Settings of a transaction are lost between statements that are not in one.
        repeatable = repeatable and not self._in_each
        tries = 1
        while True:
            try:
                return await self._once(work, repeatable)
            except DBAPIError as failure:
                collided = _sqlstate(failure) in _COLLISIONS
                lost = failure.connection_invalidated
                # Nothing of it was committed, or what was does not matter.
                if tries >= (TRIES if collided else 2) or not (collided or lost):
                    if lost:
                        raise _failed(failure, changed=repeatable) from failure
                    raise
                tries += 1

    async def close(self) -> None:
        """Let go of the connection."""
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
        """The one that is held: to take it from the pool for each takes as long as many a statement. After a
        pause it is taken anew, for the pool has it asked whether it is still there."""
        if self._connection is not None and self._connection.invalidated:
            await self.close()
        elif self._connection is not None and monotonic() - self._used_at > ASK_AFTER.total_seconds():
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
            self._settle(connection)
            result = work(Transaction(connection, self._clock))
        except TimeoutError as failure:
            # Cut off, perhaps: the answer would be waited for again before anything else is said.
            _give_up(connection, transaction)
            raise _failed(failure, changed=repeatable) from failure
        except BaseException as failure:
            if _sqlstate(failure) == _STANDBY:
                # The name may stand for another server by the next time.
                _give_up(connection, transaction)
            else:
                _roll_back(connection, transaction)
            raise
        try:
            transaction.commit()
        except (DBAPIError, OSError) as failure:
            if isinstance(failure, DBAPIError) and not failure.connection_invalidated:
                raise
            _give_up(connection, transaction)
            raise _failed(failure, changed=True) from failure
        return result

    def _settle(self, connection: Connection) -> None:
        """Have the settings be as they should, the time known, and the plans made for tables as they are."""
        now = monotonic()
        if not self._in_each and now - connection.info.get(_ASKED, -inf) < TOLD_EVERY.total_seconds():
            return
        asked = utc_now()
        told, pid, *_ = connection.execute(self._ask).one()
        self._database_clock.set(told, asked)
        self._changes.own = pid
        connection.info[_ASKED] = now
        if now - connection.info.setdefault(_PLANNED, now) >= PLANNED_FOR.total_seconds():
            connection.execute(_PLAN_ANEW)
            connection.info[_PLANNED] = now


def _roll_back(connection: Connection, transaction: RootTransaction) -> None:
    """The server does so by itself where it can't be told."""
    try:
        transaction.rollback()
    except (DBAPIError, OSError):
        _give_up(connection, transaction)


def _give_up(connection: Connection, transaction: RootTransaction) -> None:
    """Both; nothing is said to the server."""
    connection.invalidate()
    transaction.close()


def _failed(failure: Exception, *, changed: bool) -> TransactionFailedError:
    """`changed`: the database may have made the change before it was lost."""
    return TransactionFailedError(CommitUnansweredError() if changed else failure)


def _sqlstate(failure: BaseException) -> str | None:
    return getattr(failure.orig, "sqlstate", None) if isinstance(failure, DBAPIError) else None


def _milliseconds(duration: timedelta) -> str:
    return str(duration // timedelta(milliseconds=1))
