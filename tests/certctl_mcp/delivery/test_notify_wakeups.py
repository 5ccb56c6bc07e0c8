"""An idle worker on one host hears of what another host, or another program, puts into the queue.

Nothing else would wake it: its interval is an hour, and it is at rest when the row comes.
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
from tests.certctl_mcp.sending import INTERVAL, Delivering, retry_loop, running
from tests.holding import Held
from tests.storage.foreign import insert_row, run


class Resting:
    """A loop's waiter that tells when the loop has nothing to do."""

    def __init__(self) -> None:
        self.at_rest = asyncio.Event()

    async def wait(self, wake: asyncio.Event, longest: timedelta) -> None:
        if longest > INTERVAL / 2:
            self.at_rest.set()
        await wait_at_most(wake, longest)


@pytest.fixture
async def here(postgresql_url: str) -> AsyncIterator[Database]:
    held = Held(Database.open(postgresql_url))
    yield await held.enter()
    await held.leave()


@pytest.fixture
async def elsewhere(postgresql_url: str) -> AsyncIterator[NotificationRepository]:
    held = Held(Database.open(postgresql_url))
    yield NotificationRepository(await held.enter())
    await held.leave()


async def accepted_elsewhere(elsewhere: NotificationRepository, _url: str) -> None:
    await elsewhere.accept(new_notification())


async def requeued_elsewhere(elsewhere: NotificationRepository, _url: str) -> None:
    await elsewhere.requeue("dead")


async def inserted_by_another_program(_elsewhere: NotificationRepository, url: str) -> None:
    insert_row(url, channel="Webhook")


async def requeued_by_another_program(_elsewhere: NotificationRepository, url: str) -> None:
    run(url, "UPDATE notification_events SET status = 'pending', retry_count = 0 WHERE id = 'dead'")


@pytest.mark.parametrize(
    "comes",
    [
        accepted_elsewhere,
        requeued_elsewhere,
        inserted_by_another_program,
        requeued_by_another_program,
    ],
)
async def test_an_idle_worker_is_woken_by_what_comes_from_elsewhere(
    here: Database,
    elsewhere: NotificationRepository,
    postgresql_url: str,
    comes: Callable[[NotificationRepository, str], Awaitable[None]],
) -> None:
    insert_row(postgresql_url, id="dead", channel="Webhook", status="dead")
    # It listens now: that it began to is itself a reason to look.
    await here.changes.due.wait_beyond(0)
    notifier, resting = Delivering(), Resting()
    async with running(retry_loop(here, {"Webhook": notifier}, wait=resting.wait)):
        await resting.at_rest.wait()
        assert notifier.received == []
        await comes(elsewhere, postgresql_url)
        await notifier.receives(1)


async def test_the_outcomes_of_others_wake_no_idle_worker(
    here: Database, elsewhere: NotificationRepository, postgresql_url: str
) -> None:
    await here.changes.due.wait_beyond(0)
    await elsewhere.accept(new_notification())
    (claim,) = (await elsewhere.claim(request("other", timedelta(minutes=1), 1))).claims
    insert_row(postgresql_url, id="first")
    # Messages come in the order of their commits.
    await here.changes.due.wait_beyond(2)
    version = here.changes.due.version
    await elsewhere.record_sent(claim, TOOK)
    insert_row(postgresql_url, id="second")
    await here.changes.due.wait_beyond(version)
    assert here.changes.due.version == version + 1


async def test_who_looks_in_vain_looks_again_only_after_a_while(
    here: Database, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certctl_mcp.delivery.scheduler.EMPTY_LOOK_PAUSE", timedelta(seconds=1))
    looks = 0
    claim = NotificationRepository.claim

    async def counted(repository: NotificationRepository, request: ClaimRequest) -> Claims:
        nonlocal looks
        looks += not request.suspects
        return await claim(repository, request)

    monkeypatch.setattr(NotificationRepository, "claim", counted)
    heard = await here.changes.due.wait_beyond(0)
    resting = Resting()
    async with running(retry_loop(here, {}, wait=resting.wait)):
        await resting.at_rest.wait()
        before = looks
        run(
            postgresql_url,
            f"DO $$ BEGIN FOR i IN 1..50 LOOP PERFORM pg_notify('{DUE}', ''); COMMIT; END LOOP; END $$",
        )
        await here.changes.due.wait_beyond(heard + 49)
        resting.at_rest.clear()
        await resting.at_rest.wait()
    assert looks <= before + 2
