"""A queue for many hosts: PostgreSQL, over asyncpg.

Its clock decides who may claim what, its messages wake who waits, and its locks keep apart who claims at the
same moment. Connections are few: one that writes, some that read, one that listens.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

import anyio.to_thread
import asyncpg
from sqlalchemy import NullPool, func, literal, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from storage.addresses import Address
from storage.changes import Changes
from storage.clock import Clock, utc_now
from storage.errors import StorageError
from storage.listening import Listening
from storage.migrations import REVISIONS, bring_up_to_date, current_revision
from storage.notices import SPOKEN_FOR
from storage.opened import Opened
from storage.polling import Polling
from storage.transactions import Transaction, TransactionFailedError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

READERS = 4
"""Connections that read at most, beside the one that listens."""

LONGEST_READ = timedelta(seconds=60)
LONGEST_WRITE = timedelta(seconds=10)
"""A statement of a transaction may take as long; far less than a lease outlives the longest attempt."""

IDLE_AT_MOST = timedelta(seconds=10)
"""After so long without a word the server ends a transaction: whoever began it may be cut off for good, and
what it has locked nobody else can claim."""

TRIES = 4
"""How often a transaction is begun that collided with another, before its callers are told."""

_COLLISIONS = frozenset({"40001", "40P01"})
"""serialization_failure and deadlock_detected: nothing is wrong with the transaction but its moment."""


_BY_INDEX: Mapping[str, str] = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}
"""Every statement that writes finds a few rows by an index, whatever it has last been told of a table that is
another one a minute later."""


class DatabaseClock:
    """The time of the database: this process's, put right by what the database last said."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() + self._ahead

    def set(self, told: datetime, asked: datetime) -> None:
        """The database told the time, having been asked at a moment of this process."""
        self._ahead = told - (asked + (utc_now() - asked) / 2)


@asynccontextmanager
async def opened(
    address: Address, clock: Clock | None, busy_timeout: timedelta, migrate: bool
) -> AsyncIterator[Opened]:
    """The database, migrated as needed and allowed."""
    async with AsyncExitStack() as opening:
        readers = _engine(
            address,
            LONGEST_READ,
            pool_size=READERS + 1,
            max_overflow=0,
            pool_timeout=address.patience.total_seconds(),
            pool_pre_ping=True,
            # A transaction, behind a pooler: what a statement is prepared on is then what it runs on.
            **({} if address.behind_pooler else {"isolation_level": "AUTOCOMMIT"}),
        )
        opening.push_async_callback(readers.dispose)
        async with readers.connect() as connection:
            found = await connection.run_sync(current_revision)
        if found != REVISIONS[-1]:
            await anyio.to_thread.run_sync(migrated, address)
        writing = _engine(address, LONGEST_WRITE, pool_size=1, max_overflow=0)
        opening.push_async_callback(writing.dispose)
        changes: Changes
        changes = Polling() if address.behind_pooler else Listening(readers)
        database_clock = DatabaseClock()
        transact = _Transactions(writing, clock, database_clock, busy_timeout, changes)
        await transact(lambda transaction: None)
        yield Opened(address.shown, found, readers, transact, changes, clock or database_clock)


def migrated(address: Address) -> None:
    """Bring the schema up to date, in a thread that has nothing else to do meanwhile."""

    async def migrate() -> None:
        engine = _engine(address, None, poolclass=NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(bring_up_to_date)
        await engine.dispose()

    asyncio.run(migrate())


def _engine(address: Address, longest: timedelta | None, **options: Any) -> AsyncEngine:
    async def connect(**_: object) -> asyncpg.Connection:
        return await asyncpg.connect(
            address.dsn,
            timeout=address.patience.total_seconds(),
            command_timeout=None if longest is None else longest.total_seconds(),
            server_settings=dict(address.settings),
            # SQLAlchemy keeps the statements that it has prepared.
            statement_cache_size=0,
        )

    arguments: dict[str, Any] = {"async_creator_fn": connect}
    if address.behind_pooler:
        # A statement without name lasts as long as it must, whichever connection of the server it is on.
        arguments |= {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str}
    return create_async_engine("postgresql+asyncpg://", connect_args=arguments, **options)


class _Transactions:
    """One at a time, on a connection that is made anew when it was lost."""

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock | None,
        database_clock: DatabaseClock,
        busy_timeout: timedelta,
        changes: Changes,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._database_clock = database_clock
        self._changes = changes
        self._begin = select(
            func.clock_timestamp(),
            func.pg_backend_pid(),
            *(
                func.set_config(literal(name), literal(value), literal(True))
                for name, value in {
                    "lock_timeout": _milliseconds(busy_timeout),
                    "statement_timeout": _milliseconds(LONGEST_WRITE),
                    "idle_in_transaction_session_timeout": _milliseconds(IDLE_AT_MOST),
                    SPOKEN_FOR: "on",
                    **_BY_INDEX,
                }.items()
            ),
        )

    async def __call__(self, work: Callable[[Transaction], Result]) -> Result:
        tries = 1
        while True:
            try:
                return await self._once(work)
            except DBAPIError as failure:
                # Nothing of it was committed.
                collided = getattr(failure.orig, "sqlstate", None) in _COLLISIONS
                lost = failure.connection_invalidated
                if tries >= (TRIES if collided else 2) or not (collided or lost):
                    if lost:
                        raise TransactionFailedError from failure
                    raise
                tries += 1

    async def _once(self, work: Callable[[Transaction], Result]) -> Result:
        try:
            connection = await self._engine.connect()
        except (DBAPIError, OSError) as failure:
            raise TransactionFailedError from failure
        async with aclosing(connection):
            transaction = await connection.begin()
            try:
                now = await self._begun(connection)
                result = await connection.run_sync(lambda sync: work(Transaction(sync, now)))
            except TimeoutError:
                # Cut off, perhaps: the answer would be waited for again before anything else is said.
                await connection.invalidate()
                raise
            except BaseException:
                await transaction.rollback()
                raise
            await self._commit(connection, transaction.commit)
            return result

    async def _begun(self, connection: AsyncConnection) -> datetime:
        asked = utc_now()
        told, pid, *_ = (await connection.execute(self._begin)).one()
        self._database_clock.set(told, asked)
        self._changes.own = pid
        return told if self._clock is None else self._clock()

    async def _commit(self, connection: AsyncConnection, commit: Callable[[], Any]) -> None:
        try:
            await commit()
        except (DBAPIError, OSError) as failure:
            if isinstance(failure, DBAPIError) and not failure.connection_invalidated:
                raise
            await connection.invalidate()
            unknown = StorageError(
                "the connection to the database was lost at the very end: whether the change was made can't "
                "be known; look before trying again"
            )
            raise TransactionFailedError from unknown


def _milliseconds(duration: timedelta) -> str:
    return str(duration // timedelta(milliseconds=1))
