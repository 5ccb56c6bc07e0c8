"""The primary dies during deliveries, and its standby takes over. One URL names both.

Replication is synchronous, as it must be for no accepted alert to be lost.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from storage.errors import StorageError
from storage.models import Accepted, Notification
from storage.repository import NotificationRepository
from tests import postgresql
from tests.builders import new_notification
from tests.certctl_mcp.fake_notifiers import PATIENCE, CallbackNotifier
from tests.certctl_mcp.retry_loops import retry_loop, running
from tests.postgresql import NoServerError, Server
from tests.ram_disk import MEMORY
from tests.reliability.wait_until import wait_until_sent
from tests.tcp_proxy import SOON, open_with_retries

ALERTS = 100
LOST_AT = 30


@pytest.fixture
def primary() -> Iterator[Server]:
    settings = {"wal_level": "replica", "max_wal_senders": "4"}
    with postgresql.skip_if_unavailable(), postgresql.serving(settings=settings) as server:
        yield server
        # Leaving the context stops it again.
        with suppress(NoServerError):
            server.start()


@pytest.fixture
def standby(primary: Server) -> Iterator[Server]:
    with TemporaryDirectory(prefix="certctl-pg-", dir=MEMORY) as directory:
        server = Server(Path(directory), postgresql.free_port(), settings=primary.settings)
        server.follow(primary)
        server.start()
        confirm_each = "ALTER SYSTEM SET synchronous_standby_names = '*'"
        asyncio.run(postgresql.execute(primary.url(), confirm_each, "SELECT pg_reload_conf()"))
        yield server
        server.stop()


async def accept_with_retries(repository: NotificationRepository, number: int) -> Accepted:
    """Accept an alert, retrying with the same key."""
    while True:
        with suppress(StorageError):
            return await repository.accept(new_notification(idempotency_key=str(number)))
        await asyncio.sleep(SOON.total_seconds())


@pytest.mark.usefixtures("impatient")
async def test_accepted_alerts_are_delivered_after_a_failover(
    primary: Server, standby: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certctl_mcp.delivery.retry_loop.FIRST_PAUSE", SOON)
    monkeypatch.setattr("certctl_mcp.delivery.retry_loop.LONGEST_PAUSE", SOON)
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
    lost = asyncio.Event()

    async def lose_the_primary(_: Notification) -> None:
        if len(notifier.received) == LOST_AT:
            await asyncio.to_thread(primary.stop)
            await asyncio.to_thread(standby.promote)
            lost.set()

    notifier = CallbackNotifier(lose_the_primary)
    async with asyncio.timeout(3 * PATIENCE.total_seconds()), open_with_retries(url) as database:
        repository = NotificationRepository(database)
        before = [await accept_with_retries(repository, number) for number in range(ALERTS)]
        async with running(retry_loop(database, {"Webhook": notifier})):
            await lost.wait()
            after = [await accept_with_retries(repository, number) for number in range(ALERTS, ALERTS + 10)]
            await wait_until_sent(database, len(before) + len(after))
    ids = {answer.notification.id for answer in (*before, *after)}
    assert {notification.id for notification in notifier.received} == ids
