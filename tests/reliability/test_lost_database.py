"""The retry loop while PostgreSQL is unreachable, or while its responses are lost."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from certctl_mcp.delivery.retry_loop import wait_at_most
from storage.database import Database
from storage.models import AttemptOutcome, Notification, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.certctl_mcp.fake_notifiers import PATIENCE, CallbackNotifier, WorkingNotifier
from tests.certctl_mcp.retry_loops import retry_loop, running
from tests.context_in_task import ContextInTask
from tests.reliability.wait_until import wait_until_sent
from tests.tcp_proxy import SOON, TcpProxy, open_with_retries

LEASE = timedelta(seconds=2)


@pytest.fixture
def short_pauses(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the pauses between retries."""
    monkeypatch.setattr("certctl_mcp.delivery.retry_loop.FIRST_PAUSE", SOON)
    monkeypatch.setattr("certctl_mcp.delivery.retry_loop.LONGEST_PAUSE", SOON)
    monkeypatch.setattr("certctl_mcp.delivery.outcome_writer.FIRST_PAUSE", SOON)


@pytest.fixture
async def unreliable(short_pauses: None, proxy: TcpProxy) -> AsyncIterator[Database]:
    """The database over a connection that can be cut."""
    context = ContextInTask(open_with_retries(proxy.url))
    yield await context.enter()
    await context.exit()


@pytest.fixture
async def reliable(postgresql_url: str) -> AsyncIterator[Database]:
    context = ContextInTask(open_with_retries(postgresql_url))
    yield await context.enter()
    await context.exit()


async def test_an_unconfirmed_outcome_is_recorded_once_and_not_late(
    unreliable: Database, reliable: Database, proxy: TcpProxy, caplog: pytest.LogCaptureFixture
) -> None:
    async def lose_the_next_response(notification: Notification) -> None:
        proxy.cut_once_after(notification.id.encode())

    notifier, repository = CallbackNotifier(lose_the_next_response), NotificationRepository(reliable)
    async with running(retry_loop(unreliable, {"Webhook": notifier})) as loop:
        accepted = await repository.accept(new_notification())
        await proxy.cuts.acquire()
        await wait_until_sent(reliable, 1)
    (attempt,) = await repository.attempts(accepted.notification.id)
    assert (attempt.outcome, attempt.late) == (AttemptOutcome.SENT, False)
    assert loop.meter.total(AttemptOutcome.SENT) == len(notifier.received) == 1
    assert "lease was lost" not in caplog.text


async def test_an_unconfirmed_claim_is_attempted_when_its_lease_ends(
    unreliable: Database, reliable: Database, proxy: TcpProxy
) -> None:
    notifier, repository = WorkingNotifier(), NotificationRepository(reliable)
    await unreliable.changes.due.wait_beyond(0)
    loop = retry_loop(unreliable, {"Webhook": notifier}, lease=LEASE, send_timeout=LEASE / 2)
    proxy.cut_once_after(b"worker-1")
    accepted = await repository.accept(new_notification())
    async with running(loop):
        await proxy.cuts.acquire()
        await wait_until_sent(reliable, 1)
    outcomes = [attempt.outcome for attempt in await repository.attempts(accepted.notification.id)]
    assert outcomes == [AttemptOutcome.ABANDONED, AttemptOutcome.SENT]
    assert len(notifier.received) == 1


@pytest.mark.parametrize("silent", [True, False])
async def test_the_loop_resumes_when_the_server_is_back_and_records_pending_outcomes(
    unreliable: Database, reliable: Database, proxy: TcpProxy, caplog: pytest.LogCaptureFixture, silent: bool
) -> None:
    lost, retrying = asyncio.Event(), asyncio.Event()

    async def lose_the_server(notification: Notification) -> None:
        if not lost.is_set():
            lost.set()
            (proxy.stall if silent else proxy.cut)()

    async def wait(event: asyncio.Event, longest: timedelta) -> None:
        if lost.is_set() and longest == SOON:
            retrying.set()
        await wait_at_most(event, longest)

    notifier, repository = CallbackNotifier(lose_the_server), NotificationRepository(reliable)

    async def sleep(seconds: float) -> None:
        retrying.set()
        await asyncio.sleep(seconds)

    async with running(retry_loop(unreliable, {"Webhook": notifier}, wait=wait, sleep=sleep)):
        await repository.accept(new_notification())
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await lost.wait()
            await repository.accept(new_notification(message="meanwhile"))
            await retrying.wait()
        proxy.heal()
        await wait_until_sent(reliable, 2)
    assert len(notifier.received) == 2
    counts = await repository.count_by_status()
    assert counts[NotificationStatus.SENT] == 2
    assert "Traceback" not in caplog.text
