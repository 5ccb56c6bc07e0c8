"""The database's clock decides: a host whose clock is hours off neither steals a lease nor overruns one."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta

import pytest

from storage.clock import utc_now
from storage.database import Database
from storage.engine.postgresql import database_clock, transactions
from storage.repository import NotificationRepository
from tests.builders import LEASE, TOOK, UNLIMITED, WAIT, new_notification, next_due_at, request

pytestmark = pytest.mark.postgresql

TOLERANCE = timedelta(minutes=1)
"""How long a busy machine may take between two statements."""

Open = Callable[[], AbstractAsyncContextManager[NotificationRepository]]


@pytest.fixture
async def right_clock(database_url: str) -> Open:
    @asynccontextmanager
    async def opened() -> AsyncIterator[NotificationRepository]:
        async with Database.open(database_url) as database:
            yield NotificationRepository(database)

    return opened


@pytest.fixture(params=[timedelta(hours=3), timedelta(hours=-3)], ids=["fast", "slow"])
def wrong_clock(request: pytest.FixtureRequest, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens a repository in a process whose clock is hours off. Open no other meanwhile."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[NotificationRepository]:
        with monkeypatch.context() as patch:
            for module in (database_clock, transactions):
                patch.setattr(module, "utc_now", lambda: utc_now() + request.param)
            async with Database.open(database_url) as database:
                yield NotificationRepository(database)

    return opened


def is_now(moment: datetime | None) -> bool:
    return moment is not None and abs(moment - utc_now()) < TOLERANCE


async def test_a_wrong_clock_takes_over_no_valid_lease(right_clock: Open, wrong_clock: Open) -> None:
    async with right_clock() as repository:
        await repository.accept(new_notification())
        assert len((await repository.claim(request("right_clock", LEASE, 1, UNLIMITED))).claims) == 1
    async with wrong_clock() as repository:
        assert (await repository.claim(request("wrong_clock", LEASE, 1, UNLIMITED))).claims == ()


async def test_a_wrong_clock_does_not_extend_a_lease(right_clock: Open, wrong_clock: Open) -> None:
    async with wrong_clock() as repository:
        await repository.accept(new_notification())
        (lost,) = (await repository.claim(request("wrong_clock", timedelta(0), 1))).claims
        assert is_now(lost.expires_at)
    async with right_clock() as repository:
        (taken,) = (await repository.claim(request("right_clock", LEASE, 1, UNLIMITED))).claims
        assert taken.number == lost.number + 1
    async with wrong_clock() as repository:
        assert not await repository.record_sent(lost, TOOK)


async def test_alerts_and_retries_are_due_by_the_database_clock(right_clock: Open, wrong_clock: Open) -> None:
    async with wrong_clock() as repository:
        accepted = (await repository.accept(new_notification())).notification
        assert is_now(accepted.created_at)
    async with right_clock() as repository:
        (claim,) = (await repository.claim(request("right_clock", LEASE, 1, UNLIMITED))).claims
        await repository.release(claim)
    async with wrong_clock() as repository:
        (claim,) = (await repository.claim(request("wrong_clock", LEASE, 1, UNLIMITED))).claims
        await repository.record_failed_attempt(claim, TOOK, "HTTP 503", WAIT * 60)
        failed = await repository.get(accepted.id)
        assert failed.next_retry_at is not None
        assert is_now(failed.next_retry_at - WAIT * 60)
        assert await next_due_at(repository) == failed.next_retry_at


async def test_recorded_times_are_those_of_the_database(wrong_clock: Open) -> None:
    async with wrong_clock() as repository:
        accepted = (await repository.accept(new_notification())).notification
        (claim,) = (await repository.claim(request("wrong_clock", LEASE, 1, UNLIMITED))).claims
        await repository.record_sent(claim, TOOK)
        sent = await repository.get(accepted.id)
        read = await repository.mark_read(accepted.id, actor="operator")
        (entry,) = await repository.audit(accepted.id, limit=1)
    assert is_now(claim.started_at)
    assert is_now(sent.sent_at)
    assert is_now(read.read_at)
    assert is_now(entry.at)
