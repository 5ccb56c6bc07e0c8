"""The line to PostgreSQL is cut, or falls silent, in the middle of things. What is lost, and who is told?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from time import monotonic

import pytest

from storage.clock import utc_now
from storage.database import Database
from storage.engine.postgresql.backend import READERS
from storage.engine.postgresql.database_clock import DatabaseClock
from storage.errors import ChangeUnknownError, DatabaseReadOnlyError, DatabaseUnreachableError
from storage.models import AttemptOutcome
from storage.repository import NotificationRepository
from tests.builders import LEASE, TOOK, UNLIMITED, new_notification, next_due_at, request
from tests.holding import Held
from tests.line import COMMIT, SOON, Line, reached
from tests.postgresql import execute
from tests.storage.foreign import rows

INSERT = b"INSERT INTO notification_events"

PATIENCE = timedelta(seconds=30)


@pytest.fixture
async def repository(impatient: None, line: Line) -> AsyncIterator[NotificationRepository]:
    held = Held(reached(line.url))
    yield NotificationRepository(await held.enter())
    await held.leave()


async def test_a_change_cut_off_before_its_commit_is_made_on_another_connection(
    repository: NotificationRepository, line: Line
) -> None:
    line.cut_once_before(INSERT)
    accepted = await repository.accept(new_notification())
    assert not line.cuts.locked()
    assert await repository.get(accepted.notification.id) == accepted.notification


@pytest.mark.parametrize("done", [True, False])
async def test_whoever_was_not_told_of_the_commit_hears_that_it_can_t_be_known_and_may_repeat_it(
    repository: NotificationRepository, line: Line, done: bool
) -> None:
    new = new_notification(idempotency_key="once")
    (line.cut_once_after if done else line.cut_once_before)(COMMIT)
    with pytest.raises(ChangeUnknownError, match=r"can't be known.* idempotency key"):
        await repository.accept(new, actor="operator")
    accepted = await repository.accept(new, actor="operator")
    assert accepted.created is not done
    assert await repository.ids_beginning("", 10) == (accepted.notification.id,)


async def test_a_connection_that_was_idle_is_asked_whether_it_is_still_there(
    repository: NotificationRepository, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(
            "storage.engine.postgresql.transactions.monotonic", lambda: monotonic() - PATIENCE.total_seconds()
        )
        await repository.accept(new_notification())
    line.cut_once_before(b"SELECT\0")
    await repository.accept(new_notification())
    assert not line.cuts.locked()


@pytest.mark.parametrize("key", ["once", None])
async def test_what_was_accepted_without_an_answer_is_offered_again_and_accepted_once(
    repository: NotificationRepository, line: Line, key: str | None
) -> None:
    # A statement is told once, and from then on only what it is given.
    await repository.accept(new_notification())
    line.cut_once_after(b"cut off")
    accepted = await repository.accept(new_notification(message="cut off", idempotency_key=key))
    assert not line.cuts.locked()
    assert accepted.created
    assert await repository.get(accepted.notification.id) == accepted.notification
    assert len(await repository.ids_beginning("", 10)) == 2


async def test_whoever_is_cut_off_twice_hears_that_it_can_t_be_known(
    repository: NotificationRepository, line: Line
) -> None:
    line.cut_once_before(b"cut off")
    line.cut_once_after(b"cut off")
    with pytest.raises(ChangeUnknownError, match=r"can't be known.* idempotency key"):
        await repository.accept(new_notification(message="cut off"))


async def test_an_outcome_is_recorded_once_though_it_was_not_answered(
    repository: NotificationRepository, line: Line
) -> None:
    for _ in range(2):
        await repository.accept(new_notification())
    first, claim = (await repository.claim(request("worker-1", LEASE, 2, UNLIMITED))).claims
    assert await repository.record_sent(first, TOOK)
    line.cut_once_after(claim.notification.id.encode())
    assert await repository.record_sent(claim, TOOK)
    assert not line.cuts.locked()
    (attempt,) = await repository.attempts(claim.notification.id)
    assert (attempt.outcome, attempt.late) == (AttemptOutcome.SENT, False)


async def test_what_was_claimed_without_an_answer_is_due_again_when_its_lease_ends(
    repository: NotificationRepository, line: Line
) -> None:
    assert (await repository.claim(request("worker-1", LEASE, 1, UNLIMITED))).claims == ()
    accepted = await repository.accept(new_notification())
    line.cut_once_after(b"worker-2")
    assert (await repository.claim(request("worker-2", LEASE, 1, UNLIMITED))).claims == ()
    assert not line.cuts.locked()
    held = await repository.get(accepted.notification.id)
    assert held.lease_owner == "worker-2"
    assert await next_due_at(repository) == held.lease_expires_at


async def test_all_that_wait_for_a_silent_server_are_told_and_served_again_once_it_speaks(
    repository: NotificationRepository, line: Line
) -> None:
    accepted = await repository.accept(new_notification())
    (claim,) = (await repository.claim(request("worker-1", LEASE, 1, UNLIMITED))).claims
    line.stall()
    failures = await asyncio.gather(
        repository.accept(new_notification()),
        repository.record_sent(claim, TOOK),
        repository.claim(request("worker-1", LEASE, 1, UNLIMITED)),
        next_due_at(repository),
        return_exceptions=True,
    )
    line.heal()
    # The first reader after the silence finds all of the old connections lost.
    await repository.get(accepted.notification.id)
    assert {type(failure) for failure in failures} <= {DatabaseUnreachableError}
    assert await repository.record_sent(claim, TOOK)


async def test_deliveries_wait_no_longer_for_the_next_moment_than_it_takes_to_find_the_server_lost(
    repository: NotificationRepository, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.reader.NEXT_DUE_TIMEOUT", SOON)
    await next_due_at(repository)
    line.stall()
    async with asyncio.timeout(PATIENCE.total_seconds()):
        with pytest.raises(DatabaseUnreachableError):
            await next_due_at(repository)
    line.heal()
    assert await next_due_at(repository) is None


@pytest.mark.parametrize("silent", [True, False])
async def test_it_listens_again_once_the_server_can_be_reached(
    impatient: None, line: Line, postgresql_url: str, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    monkeypatch.setattr("storage.engine.postgresql.listener.CHECK_INTERVAL", SOON)
    monkeypatch.setattr("storage.engine.postgresql.listener.NOTIFY_INTERVAL", SOON / 10)
    async with reached(line.url) as here, reached(postgresql_url) as elsewhere:
        version = await here.changes.due.wait_beyond(0)
        (line.stall if silent else line.cut)()
        async with asyncio.timeout(PATIENCE.total_seconds()):
            # Each try to listen again is announced, so that somebody goes and looks.
            version = await here.changes.due.wait_beyond(version + 2)
            line.heal()
            await _hears(here, elsewhere, postgresql_url, version)


async def test_a_line_that_is_cut_just_when_somebody_begins_to_listen_leaves_nobody_deaf(
    impatient: None, line: Line, postgresql_url: str
) -> None:
    line.cut_once_before(b"LISTEN")
    async with reached(line.url) as here, reached(postgresql_url) as elsewhere:
        await line.cuts.acquire()
        await _hears(here, elsewhere, postgresql_url, here.changes.due.version)


async def test_whoever_can_t_listen_because_all_connections_are_read_on_tries_again(
    impatient: None, line: Line, postgresql_url: str
) -> None:
    async with reached(line.url) as here, AsyncExitStack() as reading:
        version = await here.changes.due.wait_beyond(0)
        for _ in range(READERS):
            await reading.enter_async_context(here.read())
        line.cut()
        line.heal()
        await reading.enter_async_context(here.read())
        # That it was lost, and that there was no connection for it.
        version = await here.changes.due.wait_beyond(version + 1)
        await reading.aclose()
        while not _listeners(postgresql_url):
            version = await here.changes.due.wait_beyond(version)


async def test_no_connection_is_left_behind_by_a_line_that_comes_and_goes(
    repository: NotificationRepository, line: Line, postgresql_url: str
) -> None:
    for disturb in (line.stall, line.cut) * 3:
        disturb()
        await asyncio.gather(
            *(next_due_at(repository) for _ in range(8)),
            repository.accept(new_notification()),
            return_exceptions=True,
        )
        line.heal()
        await repository.accept(new_notification())
    ours = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'certctl-mcp'"
    # One that writes, four that read, one that listens. The server takes its time to notice an end.
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while line.connections > 6 or len(rows(postgresql_url, ours)) > 6:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)


async def test_closing_waits_for_no_server_that_is_silent(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.engine.postgresql.connections.CLOSE_TIMEOUT", SOON)
    async with AsyncExitStack() as open_:
        repository = NotificationRepository(await open_.enter_async_context(Database.open(line.url)))
        await asyncio.gather(*(next_due_at(repository) for _ in range(4)))
        line.stall()
        accepting = asyncio.create_task(repository.accept(new_notification()))
        reading = asyncio.create_task(next_due_at(repository))
        await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE.total_seconds() / 5):
            await open_.aclose()
    for asked in (accepting, reading):
        with pytest.raises(DatabaseUnreachableError):
            await asked


async def test_after_a_failover_the_primary_is_looked_for_again(
    repository: NotificationRepository, line: Line, postgresql_url: str
) -> None:
    of_new_sessions = f"ALTER DATABASE {postgresql_url.rpartition('/')[2]} SET default_transaction_read_only"
    await repository.accept(new_notification())
    await execute(postgresql_url, f"{of_new_sessions} = on")
    line.cut()
    line.heal()
    with pytest.raises(DatabaseReadOnlyError, match="standby"):
        await repository.accept(new_notification())
    await execute(postgresql_url, "SET default_transaction_read_only = off", f"{of_new_sessions} = off")
    await repository.accept(new_notification())


def test_what_a_silent_server_says_of_the_time_in_the_end_puts_no_clock_wrong() -> None:
    hour, clock = timedelta(hours=1), DatabaseClock()
    clock.set(utc_now() + hour, asked_at=utc_now())
    # Whether it said so at the beginning of the silence or at its end can't be known.
    clock.set(utc_now() + hour, asked_at=utc_now() - PATIENCE)
    assert abs(clock() - utc_now() - hour) < timedelta(seconds=1)


async def _hears(here: Database, elsewhere: Database, url: str, version: int) -> None:
    """Return once both listen and one has heard of what the other accepted. Until then each try to listen is
    announced."""
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
