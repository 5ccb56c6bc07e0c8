"""An idle worker is notified of what another host or program adds to the queue.

Nothing else would wake it: its polling interval is an hour, and it is idle when the row is added.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from certctl_mcp.delivery.retry_loop import wait_at_most
from storage.database import Database
from storage.operations.claim_request import ClaimRequest, Claims
from storage.repository import NotificationRepository
from storage.sql.notify import DUE
from tests.builders import TOOK, new_notification, request
from tests.certctl_mcp.fake_notifiers import WorkingNotifier
from tests.certctl_mcp.retry_loops import INTERVAL, retry_loop, running
from tests.context_in_task import ContextInTask
from tests.storage.raw_sql import insert_row, run


class IdleDetector:
    """A waiter for the loop that sets `idle` when the loop has nothing to do."""

    def __init__(self) -> None:
        self.idle = asyncio.Event()

    async def wait(self, wake: asyncio.Event, longest: timedelta) -> None:
        if longest > INTERVAL / 2:
            self.idle.set()
        await wait_at_most(wake, longest)


@pytest.fixture
async def database(postgresql_url: str) -> AsyncIterator[Database]:
    context = ContextInTask(Database.open(postgresql_url))
    yield await context.enter()
    await context.exit()


@pytest.fixture
async def other_host(postgresql_url: str) -> AsyncIterator[NotificationRepository]:
    context = ContextInTask(Database.open(postgresql_url))
    yield NotificationRepository(await context.enter())
    await context.exit()


async def accepted_elsewhere(other_host: NotificationRepository, _url: str) -> None:
    await other_host.accept(new_notification())


async def requeued_elsewhere(other_host: NotificationRepository, _url: str) -> None:
    await other_host.requeue("dead")


async def inserted_by_another_program(_elsewhere: NotificationRepository, url: str) -> None:
    insert_row(url, channel="Webhook")


async def requeued_by_another_program(_elsewhere: NotificationRepository, url: str) -> None:
    run(url, "UPDATE notification_events SET status = 'pending', retry_count = 0 WHERE id = 'dead'")


@pytest.mark.parametrize(
    "add",
    [
        accepted_elsewhere,
        requeued_elsewhere,
        inserted_by_another_program,
        requeued_by_another_program,
    ],
)
async def test_an_idle_worker_is_woken_by_other_hosts_and_programs(
    database: Database,
    other_host: NotificationRepository,
    postgresql_url: str,
    add: Callable[[NotificationRepository, str], Awaitable[None]],
) -> None:
    insert_row(postgresql_url, id="dead", channel="Webhook", status="dead")
    # It listens now; starting to listen itself counts as a change.
    await database.changes.due.wait_beyond(0)
    notifier, detector = WorkingNotifier(), IdleDetector()
    async with running(retry_loop(database, {"Webhook": notifier}, wait=detector.wait)):
        await detector.idle.wait()
        assert notifier.received == []
        await add(other_host, postgresql_url)
        await notifier.receives(1)


async def test_outcomes_of_other_hosts_wake_no_idle_worker(
    database: Database, other_host: NotificationRepository, postgresql_url: str
) -> None:
    await database.changes.due.wait_beyond(0)
    await other_host.accept(new_notification())
    (claim,) = (await other_host.claim(request("other", timedelta(minutes=1), 1))).claims
    insert_row(postgresql_url, id="first")
    # Notifications arrive in the order of the commits.
    await database.changes.due.wait_beyond(2)
    version = database.changes.due.version
    await other_host.record_sent(claim, TOOK)
    insert_row(postgresql_url, id="second")
    await database.changes.due.wait_beyond(version)
    assert database.changes.due.version == version + 1


async def test_after_an_empty_claim_the_next_one_is_delayed(
    database: Database, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certctl_mcp.delivery.scheduler.EMPTY_POLL_PAUSE", timedelta(seconds=1))
    claims_made = 0
    claim = NotificationRepository.claim

    async def counted(repository: NotificationRepository, request: ClaimRequest) -> Claims:
        nonlocal claims_made
        claims_made += not request.suspects
        return await claim(repository, request)

    monkeypatch.setattr(NotificationRepository, "claim", counted)
    version = await database.changes.due.wait_beyond(0)
    detector = IdleDetector()
    async with running(retry_loop(database, {}, wait=detector.wait)):
        await detector.idle.wait()
        before = claims_made
        run(
            postgresql_url,
            f"DO $$ BEGIN FOR i IN 1..50 LOOP PERFORM pg_notify('{DUE}', ''); COMMIT; END LOOP; END $$",
        )
        await database.changes.due.wait_beyond(version + 49)
        detector.idle.clear()
        await detector.idle.wait()
    assert claims_made <= before + 2
