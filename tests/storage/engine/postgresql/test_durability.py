"""An accepted alert survives a crash even if the operator has turned on fast, unsafe commits."""

import asyncio
import logging
from collections.abc import Iterator, Sequence

import pytest

from storage.database import Database
from storage.engine.transaction import Transaction
from storage.repository import NotificationRepository
from storage.sql.sync import SYNC_FUNCTION
from tests import postgresql
from tests.builders import LEASE, UNLIMITED, new_notification, request
from tests.postgresql import Server
from tests.storage.raw_sql import rows
from tests.tcp_proxy import TcpProxy, open_with_retries

pytestmark = pytest.mark.postgresql

SYNC = SYNC_FUNCTION.encode()


@pytest.fixture
def unsafe_server() -> Iterator[Server]:
    """Commits without waiting for the disk and writes its log as late as it can."""
    unsafe = {"synchronous_commit": "off", "wal_writer_delay": "10s", "wal_writer_flush_after": "1GB"}
    with postgresql.skip_if_unavailable(), postgresql.serving(settings=unsafe) as server:
        yield server


async def accept_many(url: str) -> list[str]:
    async with Database.open(url) as database:
        repository = NotificationRepository(database)
        return [(await repository.accept(new_notification())).notification.id for _ in range(100)]


def test_accepted_alerts_survive_a_server_crash(unsafe_server: Server) -> None:
    accepted = asyncio.run(accept_many(unsafe_server.url()))
    unsafe_server.stop("immediate")
    unsafe_server.start()
    assert {id for (id,) in rows(unsafe_server.url(), "SELECT id FROM notification_events")} == set(accepted)


def synchronous_commit(transaction: Transaction, items: Sequence[None]) -> list[str]:
    shown = transaction.connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
    return [shown for _ in items]


@pytest.mark.parametrize(
    ("configured", "used"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")]
)
@pytest.mark.parametrize("pooler", ["", "&pgbouncer=true"], ids=["", "pooler"])
async def test_only_a_setting_that_loses_commits_is_overridden(
    postgresql_url: str, configured: str, used: str, pooler: str
) -> None:
    async with Database.open(f"{postgresql_url}?synchronous_commit={configured}{pooler}") as database:
        assert await database.write(synchronous_commit, None) == used


async def test_an_unsafe_setting_that_no_session_can_override_is_logged(
    postgresql_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with Database.open(postgresql_url):
            pass
    assert "runs with fsync=off: accepted alerts can be lost if its machine crashes" in caplog.text


async def test_an_alert_can_be_claimed_while_its_accept_waits_for_the_disk(
    proxy: TcpProxy, postgresql_url: str
) -> None:
    async with open_with_retries(proxy.url) as here, open_with_retries(postgresql_url) as elsewhere:
        version = elsewhere.changes.due.version
        proxy.stall_once_before(SYNC)
        accepting = asyncio.create_task(NotificationRepository(here).accept(new_notification()))
        claim = NotificationRepository(elsewhere).claim
        while not (found := (await claim(request("worker-1", LEASE, 1, UNLIMITED))).claims):
            version = await elsewhere.changes.due.wait_beyond(version)
        await proxy.stalls.acquire()
        assert not accepting.done()
        proxy.heal()
        assert (await accepting).notification.id == found[0].notification.id


async def test_an_alert_with_a_key_is_seen_only_once_it_is_on_the_disk(
    proxy: TcpProxy, postgresql_url: str
) -> None:
    """Another caller with the same key relies on what it finds."""
    new = new_notification(idempotency_key="once")
    async with open_with_retries(proxy.url) as here:
        proxy.stall_once_before(SYNC)
        assert (await NotificationRepository(here).accept(new)).created
