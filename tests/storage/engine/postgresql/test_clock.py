"""The database's clock decides: a machine whose clock is hours wrong neither takes a lease nor keeps one."""

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

A_LITTLE = timedelta(minutes=1)
"""How long a busy machine may take between two statements."""

Open = Callable[[], AbstractAsyncContextManager[NotificationRepository]]


@pytest.fixture
async def honest(database_url: str) -> Open:
    @asynccontextmanager
    async def opened() -> AsyncIterator[NotificationRepository]:
        async with Database.open(database_url) as database:
            yield NotificationRepository(database)

    return opened


@pytest.fixture(params=[timedelta(hours=3), timedelta(hours=-3)], ids=["fast", "slow"])
def wrong(request: pytest.FixtureRequest, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Open:
    """A repository of a process whose clock is hours wrong; meanwhile no other is to be opened."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[NotificationRepository]:
        with monkeypatch.context() as patch:
            for module in (database_clock, transactions):
                patch.setattr(module, "utc_now", lambda: utc_now() + request.param)
            async with Database.open(database_url) as database:
                yield NotificationRepository(database)

    return opened


def soon(moment: datetime | None) -> bool:
    return moment is not None and abs(moment - utc_now()) < A_LITTLE


async def test_it_takes_no_lease_of_another(honest: Open, wrong: Open) -> None:
    async with honest() as repository:
        await repository.accept(new_notification())
        assert len((await repository.claim(request("honest", LEASE, 1, UNLIMITED))).claims) == 1
    async with wrong() as repository:
        assert (await repository.claim(request("wrong", LEASE, 1, UNLIMITED))).claims == ()


async def test_it_keeps_no_lease_longer_than_it_may(honest: Open, wrong: Open) -> None:
    async with wrong() as repository:
        await repository.accept(new_notification())
        (lost,) = (await repository.claim(request("wrong", timedelta(0), 1))).claims
        assert soon(lost.expires_at)
    async with honest() as repository:
        (taken,) = (await repository.claim(request("honest", LEASE, 1, UNLIMITED))).claims
        assert taken.number == lost.number + 1
    async with wrong() as repository:
        assert not await repository.record_sent(lost, TOOK)


async def test_what_it_accepts_is_due_at_once_and_its_retries_when_they_are(
    honest: Open, wrong: Open
) -> None:
    async with wrong() as repository:
        accepted = (await repository.accept(new_notification())).notification
        assert soon(accepted.created_at)
    async with honest() as repository:
        (claim,) = (await repository.claim(request("honest", LEASE, 1, UNLIMITED))).claims
        await repository.release(claim)
    async with wrong() as repository:
        (claim,) = (await repository.claim(request("wrong", LEASE, 1, UNLIMITED))).claims
        await repository.record_failed_attempt(claim, TOOK, "HTTP 503", WAIT * 60)
        failed = await repository.get(accepted.id)
        assert failed.next_retry_at is not None
        assert soon(failed.next_retry_at - WAIT * 60)
        assert await next_due_at(repository) == failed.next_retry_at


async def test_what_it_says_of_time_is_right(wrong: Open) -> None:
    async with wrong() as repository:
        accepted = (await repository.accept(new_notification())).notification
        (claim,) = (await repository.claim(request("wrong", LEASE, 1, UNLIMITED))).claims
        await repository.record_sent(claim, TOOK)
        sent = await repository.get(accepted.id)
        read = await repository.mark_read(accepted.id, actor="operator")
        (entry,) = await repository.audit(accepted.id, limit=1)
    assert soon(claim.started_at)
    assert soon(sent.sent_at)
    assert soon(read.read_at)
    assert soon(entry.at)
