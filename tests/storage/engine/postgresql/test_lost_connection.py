"""The connection to PostgreSQL breaks or stalls during an operation: nothing is lost or done twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from time import monotonic

import anyio
import pytest
from sqlalchemy import AdaptedConnection, Connection

from storage.clock import utc_now
from storage.database import Database
from storage.engine.postgresql.backend import READERS
from storage.engine.postgresql.connections import ConnectionFactory
from storage.engine.postgresql.database_clock import DatabaseClock
from storage.engine.postgresql.url import Address
from storage.errors import ChangeUnknownError, DatabaseReadOnlyError, DatabaseUnreachableError
from storage.models import AttemptOutcome
from storage.repository import NotificationRepository
from storage.sql.sync import SYNC_FUNCTION
from tests.builders import LEASE, TOOK, UNLIMITED, new_notification, next_due_at, request
from tests.context_in_task import ContextInTask
from tests.postgresql import execute
from tests.storage.raw_sql import rows
from tests.tcp_proxy import COMMIT, SOON, TcpProxy, open_with_retries

INSERT = b"INSERT INTO notification_events"
SYNC = SYNC_FUNCTION.encode()

PATIENCE = timedelta(seconds=30)


@pytest.fixture
async def repository(impatient: None, proxy: TcpProxy) -> AsyncIterator[NotificationRepository]:
    context = ContextInTask(open_with_retries(proxy.url))
    yield NotificationRepository(await context.enter())
    await context.exit()


async def test_a_change_cut_off_before_its_commit_is_retried_on_another_connection(
    repository: NotificationRepository, proxy: TcpProxy
) -> None:
    proxy.cut_once_before(INSERT)
    accepted = await repository.accept(new_notification())
    assert not proxy.cuts.locked()
    assert await repository.get(accepted.notification.id) == accepted.notification


@pytest.mark.parametrize("done", [True, False])
async def test_an_unconfirmed_commit_raises_an_error_and_can_be_repeated_with_the_key(
    repository: NotificationRepository, proxy: TcpProxy, done: bool
) -> None:
    new = new_notification(idempotency_key="once")
    (proxy.cut_once_after if done else proxy.cut_once_before)(COMMIT)
    with pytest.raises(ChangeUnknownError, match=r"can't be known.* idempotency key"):
        await repository.accept(new, actor="operator")
    accepted = await repository.accept(new, actor="operator")
    assert accepted.created is not done
    assert await repository.ids_beginning("", 10) == (accepted.notification.id,)


async def test_an_idle_connection_is_checked_before_use(
    repository: NotificationRepository, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(
            "storage.engine.postgresql.transactions.monotonic", lambda: monotonic() - PATIENCE.total_seconds()
        )
        await repository.accept(new_notification())
    proxy.cut_once_before(b"SELECT\0")
    await repository.accept(new_notification())
    assert not proxy.cuts.locked()


@pytest.mark.parametrize("key", ["once", None])
async def test_an_accept_without_a_response_is_retried_and_stored_once(
    repository: NotificationRepository, proxy: TcpProxy, key: str | None
) -> None:
    # Prepares the statement, so that from then on only its parameters are sent.
    await repository.accept(new_notification())
    proxy.cut_once_after(b"cut off")
    accepted = await repository.accept(new_notification(message="cut off", idempotency_key=key))
    assert not proxy.cuts.locked()
    assert accepted.created
    assert await repository.get(accepted.notification.id) == accepted.notification
    assert len(await repository.ids_beginning("", 10)) == 2


async def test_an_accept_cut_off_before_its_sync_is_synced_on_another_connection(
    repository: NotificationRepository, proxy: TcpProxy
) -> None:
    proxy.cut_once_before(SYNC)
    accepted = await repository.accept(new_notification())
    assert not proxy.cuts.locked()
    assert accepted.created
    assert await repository.ids_beginning("", 10) == (accepted.notification.id,)


async def test_an_accept_cut_off_before_its_sync_twice_raises_an_error(
    repository: NotificationRepository, proxy: TcpProxy
) -> None:
    proxy.cut_once_before(SYNC)
    proxy.cut_once_after(SYNC)
    with pytest.raises(ChangeUnknownError, match="can't be known"):
        await repository.accept(new_notification())


async def test_an_accept_cut_off_twice_raises_an_error(
    repository: NotificationRepository, proxy: TcpProxy
) -> None:
    proxy.cut_once_before(b"cut off")
    proxy.cut_once_after(b"cut off")
    with pytest.raises(ChangeUnknownError, match=r"can't be known.* idempotency key"):
        await repository.accept(new_notification(message="cut off"))


async def test_an_outcome_without_a_response_is_recorded_once(
    repository: NotificationRepository, proxy: TcpProxy
) -> None:
    for _ in range(2):
        await repository.accept(new_notification())
    first, claim = (await repository.claim(request("worker-1", LEASE, 2, UNLIMITED))).claims
    assert await repository.record_sent(first, TOOK)
    proxy.cut_once_after(claim.notification.id.encode())
    assert await repository.record_sent(claim, TOOK)
    assert not proxy.cuts.locked()
    (attempt,) = await repository.attempts(claim.notification.id)
    assert (attempt.outcome, attempt.late) == (AttemptOutcome.SENT, False)


async def test_a_claim_without_a_response_is_due_again_when_its_lease_ends(
    repository: NotificationRepository, proxy: TcpProxy
) -> None:
    assert (await repository.claim(request("worker-1", LEASE, 1, UNLIMITED))).claims == ()
    accepted = await repository.accept(new_notification())
    proxy.cut_once_after(b"worker-2")
    assert (await repository.claim(request("worker-2", LEASE, 1, UNLIMITED))).claims == ()
    assert not proxy.cuts.locked()
    held = await repository.get(accepted.notification.id)
    assert held.lease_owner == "worker-2"
    assert await next_due_at(repository) == held.lease_expires_at


async def test_a_stalled_server_fails_all_waiting_callers_and_serves_them_once_it_responds(
    repository: NotificationRepository, proxy: TcpProxy
) -> None:
    accepted = await repository.accept(new_notification())
    (claim,) = (await repository.claim(request("worker-1", LEASE, 1, UNLIMITED))).claims
    proxy.stall()
    failures = await asyncio.gather(
        repository.accept(new_notification()),
        repository.record_sent(claim, TOOK),
        repository.claim(request("worker-1", LEASE, 1, UNLIMITED)),
        next_due_at(repository),
        return_exceptions=True,
    )
    proxy.heal()
    # The first reader afterwards finds that all the old connections are lost.
    await repository.get(accepted.notification.id)
    # A caller whose statement was in flight can't know whether the change was made.
    assert {type(failure) for failure in failures} <= {DatabaseUnreachableError, ChangeUnknownError}
    assert await repository.record_sent(claim, TOOK)


async def test_the_query_for_the_next_due_time_has_a_timeout(
    repository: NotificationRepository, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.reader.NEXT_DUE_TIMEOUT", SOON)
    await next_due_at(repository)
    proxy.stall()
    async with asyncio.timeout(PATIENCE.total_seconds()):
        with pytest.raises(DatabaseUnreachableError):
            await next_due_at(repository)
    proxy.heal()
    assert await next_due_at(repository) is None


@pytest.mark.parametrize("silent", [True, False])
async def test_listening_resumes_once_the_server_is_reachable(
    impatient: None, proxy: TcpProxy, postgresql_url: str, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    monkeypatch.setattr("storage.engine.postgresql.listener.CHECK_INTERVAL", SOON)
    monkeypatch.setattr("storage.engine.postgresql.listener.NOTIFY_INTERVAL", SOON / 10)
    async with open_with_retries(proxy.url) as here, open_with_retries(postgresql_url) as elsewhere:
        version = await here.changes.due.wait_beyond(0)
        (proxy.stall if silent else proxy.cut)()
        async with asyncio.timeout(PATIENCE.total_seconds()):
            # Each attempt to listen again is announced as a change.
            version = await here.changes.due.wait_beyond(version + 2)
            proxy.heal()
            await _wait_until_listening(here, elsewhere, postgresql_url, version)


async def test_a_connection_lost_during_listen_is_replaced(
    impatient: None, proxy: TcpProxy, postgresql_url: str
) -> None:
    proxy.cut_once_before(b"LISTEN")
    async with open_with_retries(proxy.url) as here, open_with_retries(postgresql_url) as elsewhere:
        await proxy.cuts.acquire()
        await _wait_until_listening(here, elsewhere, postgresql_url, here.changes.due.version)


async def test_listening_is_retried_while_readers_use_all_connections(
    impatient: None, proxy: TcpProxy, postgresql_url: str
) -> None:
    held = asyncio.Semaphore(0)

    def hold(connection: Connection) -> None:
        async def until_cancelled(_: object) -> None:
            held.release()
            await asyncio.Event().wait()

        driver = connection.connection.dbapi_connection
        assert isinstance(driver, AdaptedConnection)
        driver.run_async(until_cancelled)

    async with open_with_retries(proxy.url) as here:
        version = await here.changes.due.wait_beyond(0)
        async with anyio.create_task_group() as reading:
            for _ in range(READERS):
                reading.start_soon(here.read, hold)
                await held.acquire()
            proxy.cut()
            proxy.heal()
            reading.start_soon(here.read, hold)
            await held.acquire()
            # One announcement for the loss, one for the lack of a free connection.
            version = await here.changes.due.wait_beyond(version + 1)
            reading.cancel_scope.cancel()
        while not _listeners(postgresql_url):
            version = await here.changes.due.wait_beyond(version)


async def test_an_unreliable_network_leaks_no_connections(
    repository: NotificationRepository, proxy: TcpProxy, postgresql_url: str
) -> None:
    for interrupt in (proxy.stall, proxy.cut) * 3:
        interrupt()
        await asyncio.gather(
            *(next_due_at(repository) for _ in range(8)),
            repository.accept(new_notification()),
            return_exceptions=True,
        )
        proxy.heal()
        await repository.accept(new_notification())
    ours = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'certctl-mcp'"
    # One writer, four readers, one listener. The server notices closed connections with a delay.
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while proxy.connections > 6 or len(rows(postgresql_url, ours)) > 6:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.05)


async def test_closing_does_not_wait_for_a_stalled_server(
    proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.engine.postgresql.connections.CLOSE_TIMEOUT", SOON)
    async with AsyncExitStack() as open_:
        repository = NotificationRepository(await open_.enter_async_context(Database.open(proxy.url)))
        await asyncio.gather(*(next_due_at(repository) for _ in range(4)))
        proxy.stall()
        accepting = asyncio.create_task(repository.accept(new_notification()))
        reading = asyncio.create_task(next_due_at(repository))
        await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE.total_seconds() / 5):
            await open_.aclose()
    for waiting in (accepting, reading):
        with pytest.raises(DatabaseUnreachableError):
            await waiting


@pytest.mark.parametrize("iterations", range(4))
async def test_connections_can_be_closed_at_any_moment_while_one_is_being_given_up(
    monkeypatch: pytest.MonkeyPatch, iterations: int
) -> None:
    monkeypatch.setattr("storage.engine.postgresql.connections.CLOSE_TIMEOUT", timedelta(0))
    reached, given_up = asyncio.Event(), asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        given_up.set()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connections = ConnectionFactory(Address.of(f"postgresql://u@127.0.0.1:{port}/d?sslmode=disable"))
    engine = connections.engine(PATIENCE)

    async def connect() -> None:
        async with engine.connect():
            pass

    connecting = asyncio.create_task(connect())
    await reached.wait()
    connections.prepare_to_close()
    for _ in range(iterations):
        await asyncio.sleep(0)
    await connections.close()
    with pytest.raises(TimeoutError):
        await connecting
    async with asyncio.timeout(PATIENCE.total_seconds()):
        await given_up.wait()
    server.close()


async def test_after_a_failover_the_primary_is_found_again(
    repository: NotificationRepository, proxy: TcpProxy, postgresql_url: str
) -> None:
    of_new_sessions = f"ALTER DATABASE {postgresql_url.rpartition('/')[2]} SET default_transaction_read_only"
    await repository.accept(new_notification())
    await execute(postgresql_url, f"{of_new_sessions} = on")
    proxy.cut()
    proxy.heal()
    with pytest.raises(DatabaseReadOnlyError, match="standby"):
        await repository.accept(new_notification())
    await execute(postgresql_url, "SET default_transaction_read_only = off", f"{of_new_sessions} = off")
    await repository.accept(new_notification())


def test_a_delayed_response_does_not_shift_the_clock() -> None:
    hour, clock = timedelta(hours=1), DatabaseClock()
    clock.set(utc_now() + hour, asked_at=utc_now())
    # The response may have been delayed on the way, so its time may be old.
    clock.set(utc_now() + hour, asked_at=utc_now() - PATIENCE)
    assert abs(clock() - utc_now() - hour) < timedelta(seconds=1)


async def _wait_until_listening(here: Database, elsewhere: Database, url: str, version: int) -> None:
    """Return once both are listening and one is notified of what the other accepted. Until then each attempt
    to listen is announced."""
    while _listeners(url) < 2:
        version = await here.changes.due.wait_beyond(version)
    version = here.changes.due.version
    await NotificationRepository(elsewhere).accept(new_notification())
    await here.changes.due.wait_beyond(version)


def _listeners(url: str) -> int:
    ((number,),) = rows(
        url,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND (query ILIKE 'LISTEN%' OR query = 'SELECT 1')",
    )
    return int(number)
