"""A queue in PostgreSQL, shared by processes on any number of hosts."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

import anyio.to_thread
from sqlalchemy import Connection, NullPool, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from storage.clock import Clock, utc_now
from storage.engine.backend import OpenBackend
from storage.engine.changes import Changes
from storage.engine.driver_errors import BEHIND_POOLER
from storage.engine.postgresql.connections import ConnectionFactory
from storage.engine.postgresql.database_clock import DatabaseClock
from storage.engine.postgresql.durability import may_sync_last, warn_of_unsafe_server
from storage.engine.postgresql.listener import NotifiedChanges
from storage.engine.postgresql.polling import AssumedChanges
from storage.engine.postgresql.privileges import is_shared_with_certctl, why_read_only
from storage.engine.postgresql.transactions import STANDBY, Transactions, sqlstate
from storage.engine.postgresql.url import Address
from storage.errors import StorageError
from storage.read_only import ReadOnly
from storage.schema.inspection import SchemaState, has_queue, missing
from storage.schema.migrations import REVISIONS, Migrate, bring_up_to_date, current_revision
from storage.schema.partial import read_incomplete_schema
from storage.sql.notify import ANNOUNCED_BY_US

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

READERS = 4
"""Connections for queries, in addition to the one that listens."""

WRITERS = 2
"""Connections for changes, opened when needed."""

READ_TIMEOUT = timedelta(seconds=60)
WRITE_TIMEOUT = timedelta(seconds=10)
"""The limit for a statement of a transaction. It is much shorter than the time that remains of a lease after
the longest attempt."""

RESPONSE_TIMEOUT = WRITE_TIMEOUT + timedelta(seconds=2)
"""The server cancels a statement that takes too long, with an error. If there is no response at all, the
server is gone."""

IDLE_IN_TRANSACTION_TIMEOUT = timedelta(seconds=10)
"""The server ends a transaction that is idle for this long: its client may be cut off permanently, and no
other process can claim the rows that it has locked."""

_FORBIDDEN = frozenset({"42501", STANDBY})
"""insufficient_privilege and read_only_sql_transaction."""

_READING: Mapping[str, str] = {"jit": "off"}
"""JIT compilation takes longer than any of our statements."""

BY_INDEX: Mapping[str, str] = {
    **_READING,
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}
"""Makes every write find its few rows by an index, whatever the server's statistics say about a table that
soon changes. Planning each execution would take as long as running it."""


@asynccontextmanager
async def opened(
    address: Address, clock: Clock | None, busy_timeout: timedelta, migrate: Migrate
) -> AsyncIterator[OpenBackend]:
    """The open database, migrated as needed and allowed."""
    connections = ConnectionFactory(address)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(connections.close)
        readers = connections.engine(
            READ_TIMEOUT,
            settings={} if address.behind_pooler else _READING,
            pool_size=READERS + 1,
            max_overflow=0,
            pool_timeout=address.connect_timeout.total_seconds(),
            # Behind a pooler, a transaction keeps a statement on the connection where it was prepared.
            isolation_level="READ COMMITTED" if address.behind_pooler else "AUTOCOMMIT",
        )
        async with readers.connect() as connection:
            server = await _inspected(connection, readers, address, migrate)
        database_clock = DatabaseClock()
        settings = _writing_settings(busy_timeout)
        # Behind a pooler each transaction may be on another connection, which other clients use too.
        of_session, of_transaction = ({}, settings) if address.behind_pooler else (settings, {})
        writing = connections.engine(
            RESPONSE_TIMEOUT,
            prepared=True,
            durable=True,
            settings=of_session,
            pool_size=WRITERS,
            max_overflow=0,
        )
        transact = [
            Transactions(writing, clock, database_clock, of_transaction, may_sync_last=server.may_sync_last)
            for _ in range(WRITERS)
        ]
        for each in transact:
            stack.push_async_callback(each.close)
        changes: Changes
        # A standby does not support LISTEN, and an incomplete schema may lack the triggers that notify.
        if address.behind_pooler or server.read_only:
            changes = AssumedChanges()
        else:
            changes = NotifiedChanges(readers, lambda sender: any(sender == each.pid for each in transact))
        await transact[0](lambda transaction: None, repeatable=False)
        yield OpenBackend(
            address.location,
            server.found_revision,
            partial(_read, readers),
            transact,
            changes,
            clock or database_clock,
            server.read_only,
            server.shared_with_certctl,
            prepare_to_close=connections.prepare_to_close,
        )


@dataclass(frozen=True, slots=True)
class _Inspection:
    """What is known about the database once it has been migrated."""

    found_revision: str | None
    """The revision before the migration."""
    shared_with_certctl: bool
    read_only: ReadOnly | None
    may_sync_last: bool


async def _inspected(
    connection: AsyncConnection, readers: AsyncEngine, address: Address, migrate: Migrate
) -> _Inspection:
    """Inspect the database, and migrate it as needed and allowed."""
    if address.behind_pooler is None:
        await _expect_no_pooler(connection, address)
    found = await _found_revision(connection)
    shared = await is_shared_with_certctl(connection)
    read_only: ReadOnly | None = None
    if found != REVISIONS[-1]:
        foreign = found is None and await connection.run_sync(has_queue)
        allowed = migrate.allows(foreign=foreign, shared=shared)
        if not (allowed and await _migrated(address)):
            read_only = await connection.run_sync(
                read_incomplete_schema, readers.sync_engine, address.location
            )
    read_only = read_only or await why_read_only(connection, readers)
    if read_only is None:
        await warn_of_unsafe_server(connection, address.location)
    return _Inspection(found, shared, read_only, await may_sync_last(connection))


def _writing_settings(busy_timeout: timedelta) -> dict[str, str]:
    return {
        "lock_timeout": _milliseconds(busy_timeout),
        "statement_timeout": _milliseconds(WRITE_TIMEOUT),
        "idle_in_transaction_session_timeout": _milliseconds(IDLE_IN_TRANSACTION_TIMEOUT),
        ANNOUNCED_BY_US: "on",
        **BY_INDEX,
    }


async def _read(readers: AsyncEngine, query: Callable[[Connection], Result]) -> Result:
    async with readers.connect() as connection:
        return await connection.run_sync(query)


async def _expect_no_pooler(connection: AsyncConnection, address: Address) -> None:
    """A statement prepared, or a LISTEN issued, on one server connection would be missing on the next."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    in_use = (await connection.execute(select(func.pg_backend_pid()))).scalar_one()
    if driver.get_server_pid() != in_use:
        raise StorageError(f"the database {address.location} {BEHIND_POOLER}")


async def schema_state(address: Address) -> SchemaState:
    async with _connected(address, READ_TIMEOUT) as connection:
        clock = DatabaseClock()
        asked_at = utc_now()
        clock.set((await connection.execute(select(func.clock_timestamp()))).scalar_one(), asked_at)
        return SchemaState(await _found_revision(connection), await connection.run_sync(missing), clock.ahead)


async def _found_revision(connection: AsyncConnection) -> str | None:
    """Also None if this user may not read it."""
    try:
        return await connection.run_sync(current_revision)
    except DBAPIError as failure:
        if sqlstate(failure) not in _FORBIDDEN:
            raise
        return None


async def _migrated(address: Address) -> bool:
    """Migrate; False if this user may not change the schema."""
    try:
        await anyio.to_thread.run_sync(_migrate, address)
    except DBAPIError as failure:
        if sqlstate(failure) not in _FORBIDDEN:
            raise
        logger.warning("the schema of %s can't be brought up to date: %s", address.location, failure.orig)
        return False
    return True


def _migrate(address: Address) -> None:
    """Runs in its own thread, because Alembic blocks."""

    async def migrate() -> None:
        async with _connected(address, None) as connection:
            # Once it has locked a table, it must see what was committed before.
            await connection.execution_options(isolation_level="READ COMMITTED")
            await connection.run_sync(bring_up_to_date)

    asyncio.run(migrate())


@asynccontextmanager
async def _connected(address: Address, response_timeout: timedelta | None) -> AsyncIterator[AsyncConnection]:
    """A single connection."""
    connections = ConnectionFactory(address)
    try:
        async with connections.engine(response_timeout, poolclass=NullPool).connect() as connection:
            yield connection
    finally:
        await connections.close()


def _milliseconds(duration: timedelta) -> str:
    return str(duration // timedelta(milliseconds=1))
