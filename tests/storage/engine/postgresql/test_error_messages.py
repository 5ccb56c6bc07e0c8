"""Errors of a PostgreSQL server, and messages that let the operator fix them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from storage.database import Database
from storage.errors import (
    DatabaseBusyError,
    DatabaseReadOnlyError,
    DatabaseUnreachableError,
    StorageError,
)
from storage.models import NotificationFilter
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.postgresql import GUARDED, Server, execute, free_port

pytestmark = pytest.mark.postgresql

PASSWORD = "right-one"


async def error_on_open(url: str, kind: type[StorageError]) -> str:
    """The error message when the database is opened."""
    with pytest.raises(kind) as failure:
        async with Database.open(url):
            pass
    assert type(failure.value) is kind
    assert PASSWORD not in str(failure.value)
    return str(failure.value)


@asynccontextmanager
async def guarded_user(server: Server, *options: str) -> AsyncIterator[None]:
    """Creates a user with a password for the duration of the block."""
    await execute(server.url(), f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{PASSWORD}' {' '.join(options)}")
    try:
        yield
    finally:
        await execute(server.url(), f"DROP OWNED BY {GUARDED}", f"DROP ROLE {GUARDED}")


def as_guarded(url: str, password: str) -> str:
    return url.replace("postgres@", f"{GUARDED}:{password}@")


async def test_a_wrong_password(postgresql_server: Server, database_url: str) -> None:
    async with guarded_user(postgresql_server):
        message = await error_on_open(as_guarded(database_url, f"{PASSWORD}-not"), StorageError)
    assert "refuses this user or its password" in message


async def test_an_unknown_user(database_url: str) -> None:
    message = await error_on_open(database_url.replace("postgres@", "nobody-at-all@"), StorageError)
    assert "refuses this user or its password" in message


async def test_a_user_with_read_permission_only(postgresql_server: Server, database_url: str) -> None:
    async with guarded_user(postgresql_server):
        await execute(database_url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {GUARDED}")
        async with Database.open(as_guarded(database_url, PASSWORD)) as database:
            repository = NotificationRepository(database)
            assert (await repository.list(NotificationFilter())).items == ()
            with pytest.raises(DatabaseReadOnlyError) as failure:
                await repository.accept(new_notification())
        await execute(database_url, f"DROP OWNED BY {GUARDED}")
    assert PASSWORD not in str(failure.value)


async def test_a_missing_database(postgresql_server: Server) -> None:
    message = await error_on_open(postgresql_server.url("nowhere"), StorageError)
    assert "nowhere does not exist; create it" in message


async def test_a_server_that_does_not_run() -> None:
    url = f"postgresql://certctl:{PASSWORD}@127.0.0.1:{free_port()}/certctl"
    assert "can't be reached" in await error_on_open(url, DatabaseUnreachableError)


async def test_an_unknown_host() -> None:
    url = f"postgresql://certctl:{PASSWORD}@nowhere.invalid/certctl"
    assert "can't be reached" in await error_on_open(url, DatabaseUnreachableError)


async def test_a_server_that_does_not_respond() -> None:
    given_up = asyncio.Event()

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        given_up.set()

    async with await asyncio.start_server(keep_silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        message = await error_on_open(
            f"postgresql://certctl:{PASSWORD}@127.0.0.1:{port}/certctl?connect_timeout=1",
            DatabaseUnreachableError,
        )
        await given_up.wait()
    assert "no response in time" in message


async def test_encryption_required_of_a_server_without_it(database_url: str) -> None:
    message = await error_on_open(f"{database_url}?sslmode=require", DatabaseUnreachableError)
    assert "rejected SSL" in message


async def test_an_unknown_parameter(database_url: str) -> None:
    assert 'parameter "colour"' in await error_on_open(f"{database_url}?colour=blue", StorageError)


async def test_an_unknown_ssl_mode(database_url: str) -> None:
    message = await error_on_open(f"{database_url}?sslmode=perhaps", StorageError)
    assert "sslmode" in message
    assert "verify-full" in message


async def test_no_free_connection(postgresql_server: Server, database_url: str) -> None:
    name = database_url.rpartition("/")[2]
    async with guarded_user(postgresql_server, "CONNECTION LIMIT 1"):
        held = await asyncpg.connect(as_guarded(database_url, PASSWORD))
        message = await error_on_open(as_guarded(database_url, PASSWORD), DatabaseUnreachableError)
        await held.close()
    assert f"{name} has no free connection; raise max_connections" in message


async def test_a_standby_or_other_read_only_server(database_url: str) -> None:
    async with Database.open(f"{database_url}?default_transaction_read_only=on") as database:
        repository = NotificationRepository(database)
        assert (await repository.list(NotificationFilter())).items == ()
        with pytest.raises(
            DatabaseReadOnlyError, match=r"is read-only, perhaps a standby, .* name the primary"
        ):
            await repository.accept(new_notification())


@asynccontextmanager
async def locked_table(url: str) -> AsyncIterator[None]:
    other = await asyncpg.connect(url)
    await other.execute("BEGIN")
    await other.execute("LOCK TABLE notification_events IN ACCESS EXCLUSIVE MODE")
    yield
    await other.close()


async def test_a_query_that_exceeds_the_statement_timeout(database_url: str) -> None:
    async with Database.open(f"{database_url}?statement_timeout=100") as database, locked_table(database_url):
        with pytest.raises(DatabaseBusyError, match="took too long to respond; try again, or request less"):
            await NotificationRepository(database).list(NotificationFilter())


async def test_a_table_locked_by_another_session(database_url: str) -> None:
    opening = Database.open(database_url, busy_timeout=timedelta(milliseconds=100))
    async with opening as database:
        repository = NotificationRepository(database)
        async with locked_table(database_url):
            with pytest.raises(DatabaseBusyError, match="longer than the busy timeout; try again"):
                await repository.accept(new_notification())
        assert (await repository.accept(new_notification())).created
