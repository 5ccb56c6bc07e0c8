"""A report reads the figures of past hours and days, and is the same as if it read the attempts, whoever
changes them and whatever happens at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from certctl_mcp.delivery.figures import SETTLED_AFTER, KeptFigures
from storage.database import Database, backend_for
from storage.models import Deliveries, DeliveryStep
from storage.operations.keep_figures import Counted, FigurePeriod, Mark, day_of, have_ended, keep, mark
from storage.operations.leases import MAX_ABANDONED
from storage.queries import kept_figures
from storage.queries.kept_figures import MOST_GAPS, figures_of
from storage.repository import NotificationRepository
from tests.builders import LEASE, NOON, TOOK, WAIT, Queue, SettableClock
from tests.exploration import size
from tests.storage.changes import purge_some, requeue_some, settle_all
from tests.storage.figure_triggers import drop_trigger, drop_triggers
from tests.storage.raw_sql import insert_row, rows, run

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
THIS_HOUR, THIS_DAY = FigurePeriod(NOON, 1), day_of(NOON)
BOTH = {(1, "kept"), (24, "kept")}

Report = tuple[Deliveries, tuple[DeliveryStep, ...], tuple[DeliveryStep, ...]]


pytestmark = pytest.mark.usefixtures("patient_figures")


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_figures, "MANY", 1)


async def report(repository: NotificationRepository, since: datetime, until: datetime) -> Report:
    by_hours, by_days = [
        await repository.deliveries_over_time(
            since, until, beginning=day_of(since).begins_at, step=timedelta(hours=hours)
        )
        for hours in (2, 48)
    ]
    return await repository.delivery_figures(since, until), by_hours, by_days


async def assert_exact(
    repository: NotificationRepository, url: str, since: datetime = NOON - DAY, until: datetime = NOON + DAY
) -> None:
    """The report doesn't change when the figures are gone."""
    with_figures = await report(repository, since, until)
    run(url, "DELETE FROM notification_figures")
    assert with_figures == await report(repository, since, until)


def stored(url: str) -> set[tuple[int, str]]:
    return set(
        rows(
            url,
            "SELECT hours, CASE WHEN figures IS NULL THEN 'marked' ELSE 'kept' END FROM notification_figures",
        )
    )


async def keep_all(queue: Queue) -> int:
    async def sleep(_seconds: float) -> None:
        pass

    return await KeptFigures(queue.repository, clock=queue.clock, sleep=sleep).keep()


async def keep_noon(queue: Queue) -> None:
    """Keep the figures of the hour and the day of `NOON`."""
    assert await queue.repository.keep_figures([THIS_HOUR]) == 1
    assert await queue.repository.keep_figures([THIS_DAY]) == 1


async def delivered_late(queue: Queue) -> None:
    claim = await queue.claimed()
    queue.clock.advance(LEASE)
    await queue.claim(claim.notification.id, worker="worker-2")
    await queue.repository.record_sent(claim, LEASE)


async def retried(queue: Queue) -> None:
    failed = await queue.failed(wait=WAIT)
    queue.clock.advance(WAIT)
    await queue.repository.record_sent(await queue.claim(failed.id), TOOK)


async def pass_time(queue: Queue) -> None:
    queue.clock.advance(timedelta(hours=5, minutes=17, microseconds=999_700))


STEPS: dict[str, Callable[[Queue], Awaitable[object]]] = {
    "sent": Queue.sent,
    "sent in another channel": lambda queue: queue.sent(channel="Slack"),
    "dead": Queue.dead,
    "skipped": Queue.skipped,
    "abandoned": Queue.abandoned,
    "hopeless": lambda queue: queue.abandoned(times=MAX_ABANDONED),
    "late": delivered_late,
    "retried": retried,
    "requeue": requeue_some,
    "settle all": settle_all,
    "purge": purge_some,
    "pass time": pass_time,
    "keep": keep_all,
}


@settings(
    max_examples=size(short=6, long=200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.lists(st.sampled_from(sorted(STEPS)), min_size=5, max_size=15),
    begun=st.timedeltas(timedelta(0), 3 * DAY),
    length=st.timedeltas(timedelta(seconds=1), 5 * DAY),
)
async def test_after_any_changes_a_report_is_the_same_with_and_without_figures(
    queue: Queue, database_url: str, steps: list[str], begun: timedelta, length: timedelta
) -> None:
    for table in ("attempts", "events", "figures"):
        run(database_url, f"DELETE FROM notification_{table}")
    queue.clock.now = NOON
    for step in (*steps, "pass time", "keep", *steps):
        await STEPS[step](queue)
    since = queue.clock() - begun
    await assert_exact(queue.repository, database_url, since, since + length)


async def test_a_report_reads_the_figures_and_not_the_attempts(
    queue: Queue, clock: SettableClock, database_url: str
) -> None:
    await queue.sent()
    clock.advance(DAY)
    await keep_all(queue)
    assert stored(database_url) == BOTH
    run(database_url, "UPDATE notification_figures SET figures = replace(figures, ':1', ':1000')")
    in_all, by_hours, by_days = await report(queue.repository, NOON - DAY, NOON + DAY)
    assert in_all.overall.delivered == 1000
    for steps in (by_hours, by_days):
        assert sum(sum(step.outcomes.values()) for step in steps) == 1000


async def test_a_day_is_counted_from_its_hours(queue: Queue, clock: SettableClock, database_url: str) -> None:
    await queue.sent()
    assert await queue.repository.keep_figures([THIS_HOUR]) == 1
    run(database_url, "UPDATE notification_figures SET figures = replace(figures, ':1', ':1000')")
    assert await queue.repository.keep_figures([THIS_DAY]) == 1
    clock.advance(DAY)
    assert (await queue.repository.delivery_figures(NOON - DAY, NOON + DAY)).overall.delivered == 1000


async def test_an_hour_with_few_attempts_is_kept_only_within_its_day(
    queue: Queue, clock: SettableClock, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_figures, "MANY", 2)
    await queue.sent()
    clock.advance(DAY)
    assert await keep_all(queue) == 1
    assert stored(database_url) == {(24, "kept")}
    assert await keep_all(queue) == 0


async def test_hours_and_days_that_have_not_ended_long_ago_are_not_kept(
    queue: Queue, clock: SettableClock, database_url: str
) -> None:
    await queue.sent()
    clock.advance(HOUR + SETTLED_AFTER - timedelta(microseconds=1))
    assert await keep_all(queue) == 0
    clock.advance(timedelta(microseconds=1))
    assert await keep_all(queue) == 1
    assert stored(database_url) == {(1, "kept")}


async def test_a_report_with_many_gaps_drops_the_figures_that_save_least(
    queue: Queue, clock: SettableClock, database_url: str
) -> None:
    for number in range(2 * MOST_GAPS + 4):
        for _ in range(1 + number % 3):
            await queue.sent()
        if number % 2:
            assert await queue.repository.keep_figures([FigurePeriod(clock(), 1)]) == 1
        clock.advance(HOUR)
    await assert_exact(queue.repository, database_url)


CHANGES = (
    "DELETE FROM notification_attempts WHERE notification_id = 'n-2' AND number = 1",
    "DELETE FROM notification_attempts WHERE notification_id = 'n-2' AND number = 4",
    "UPDATE notification_attempts SET outcome = 'failed' WHERE notification_id = 'n-1'",
    "UPDATE notification_attempts SET late = true WHERE notification_id = 'n-1'",
    "UPDATE notification_attempts SET channel = 'Slack' WHERE notification_id = 'n-1'",
    "UPDATE notification_attempts SET duration = 90 WHERE notification_id = 'n-1'",
    "UPDATE notification_attempts SET number = 3 WHERE notification_id = 'n-2' AND number = 1",
    "UPDATE notification_attempts SET number = 5 WHERE notification_id = 'n-2' AND number = 1",
    "UPDATE notification_attempts SET notification_id = 'n-1' WHERE notification_id = 'n-2' AND number = 4",
    "UPDATE notification_attempts SET started_at = (SELECT created_at FROM notification_events LIMIT 1)",
    "INSERT INTO notification_attempts (notification_id, number, started_at, outcome, worker, channel)"
    " SELECT notification_id, 0, started_at, 'failed', 'w', 'Email' FROM notification_attempts"
    " WHERE notification_id = 'n-2' AND number = 1",
    "UPDATE notification_events SET created_at = (SELECT max(started_at) FROM notification_attempts)",
    "UPDATE notification_events SET abandoned_count = 0 WHERE id = 'n-2'",
    "UPDATE notification_events SET attempt_count = 9 WHERE id = 'n-2'",
    "DELETE FROM notification_events WHERE id = 'n-2'",
)


async def history(queue: Queue, url: str) -> None:
    """Two notifications: one delivered, and one whose last attempt was a day after its first."""
    for id, hours_ago in (("n-1", 3), ("n-2", 30)):
        insert_row(url, id=id, status="sent", created_at=NOON - hours_ago * HOUR)
    run(url, "UPDATE notification_events SET attempt_count = 4, abandoned_count = 10 WHERE id = 'n-2'")
    for id, number, outcome, hours_later in (
        ("n-1", 1, "sent", 1),
        ("n-2", 1, "failed", 1),
        ("n-2", 4, "abandoned", 25),
    ):
        later = (
            f"strftime('%Y-%m-%dT%H:%M:%f000+00:00', created_at, '+{hours_later} hours')"
            if url.startswith("sqlite")
            else f"created_at + interval '{hours_later} hours'"
        )
        run(
            url,
            "INSERT INTO notification_attempts"
            " (notification_id, number, started_at, duration, outcome, worker, channel)"
            f" SELECT id, {number}, {later}, 1, '{outcome}', 'worker-1', channel"
            f" FROM notification_events WHERE id = '{id}'",
        )


@pytest.mark.parametrize("change", CHANGES)
async def test_what_other_programs_change_is_counted_again(
    queue: Queue, clock: SettableClock, database_url: str, change: str
) -> None:
    await history(queue, database_url)
    clock.advance(2 * DAY)
    kept = await keep_all(queue)
    run(database_url, change)
    assert 0 < len(rows(database_url, "SELECT 1 FROM notification_figures")) < kept
    await assert_exact(queue.repository, database_url, NOON - 3 * DAY, NOON + DAY)


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "change",
    [
        "REPLACE INTO notification_attempts (notification_id, number, started_at, outcome, worker, channel)"
        " SELECT notification_id, number, '2026-01-01T20:00:00.000000+00:00', 'dead', 'w', channel"
        " FROM notification_attempts WHERE notification_id = 'n-1'",
        "INSERT INTO notification_attempts (notification_id, number, started_at, outcome, worker, channel)"
        " VALUES ('n-1', 7, '2026-01-01 11:00:00', 'failed', 'w', 'Email')",
        # This connection hasn't turned on foreign keys.
        "DELETE FROM notification_events WHERE id = 'n-1'",
        "UPDATE notification_events SET id = 'n-3' WHERE id = 'n-1'",
        "REPLACE INTO notification_events (id, type, channel, recipient, message, created_at)"
        " SELECT id, type, channel, recipient, message, '2025-01-01T20:00:00.000000+00:00'"
        " FROM notification_events WHERE id = 'n-1'",
    ],
)
async def test_what_only_sqlite_allows_is_counted_again(
    queue: Queue, clock: SettableClock, database_url: str, change: str
) -> None:
    await history(queue, database_url)
    clock.advance(2 * DAY)
    await keep_all(queue)
    run(database_url, change)
    await assert_exact(queue.repository, database_url, NOON - 3 * DAY, NOON + DAY)


async def marked(database: Database, period: FigurePeriod = THIS_HOUR) -> Mark:
    (found,) = await database.write(mark, [period])
    return found


async def figures(database: Database, mark: Mark) -> str:
    found = await database.read(figures_of, mark, None)
    assert found is not None
    return found


async def test_figures_are_not_kept_if_something_changes_while_they_are_counted(
    queue: Queue, database: Database, database_url: str
) -> None:
    await queue.sent()
    found = await marked(database)
    counted = Counted(found, await figures(database, found))
    await queue.sent()
    assert await database.read(figures_of, found, None) is None
    assert not await database.write(keep, counted)
    assert stored(database_url) == set()
    await assert_exact(queue.repository, database_url)


async def test_of_two_builders_the_later_one_keeps_the_figures(
    queue: Queue, database: Database, database_url: str
) -> None:
    await queue.sent()
    died, alive = await marked(database), await marked(database)
    assert stored(database_url) == {(1, "marked")}
    assert await database.read(figures_of, died, None) is None
    counted = await figures(database, alive)
    assert not await database.write(keep, Counted(died, counted))
    assert await database.write(keep, Counted(alive, counted))
    assert stored(database_url) == {(1, "kept")}
    assert await database.write(mark, [THIS_HOUR]) == ()


async def test_a_mark_is_not_read_as_figures(queue: Queue, database: Database, database_url: str) -> None:
    await queue.sent()
    await marked(database)
    await assert_exact(queue.repository, database_url)


@pytest.mark.parametrize("trigger", ["insert", "notification"])
async def test_without_a_trigger_figures_are_neither_read_nor_kept(
    queue: Queue, clock: SettableClock, database_url: str, trigger: str
) -> None:
    await queue.sent()
    clock.advance(DAY)
    await keep_all(queue)
    drop_trigger(database_url, f"certctl_mcp_figures_{trigger}")
    run(database_url, "UPDATE notification_figures SET figures = replace(figures, ':1', ':1000')")
    assert (await queue.repository.delivery_figures(NOON - DAY, NOON + DAY)).overall.delivered == 1
    run(database_url, "DELETE FROM notification_figures")
    assert await keep_all(queue) == 0
    assert await queue.repository.keep_figures([THIS_HOUR]) == 0


async def test_without_the_table_reports_read_the_attempts(
    queue: Queue, clock: SettableClock, database_url: str
) -> None:
    drop_triggers(database_url)
    run(database_url, "DROP TABLE notification_figures")
    await queue.sent()
    clock.advance(DAY)
    assert (await queue.repository.delivery_figures(NOON - DAY, NOON + DAY)).overall.attempts == 1
    assert await keep_all(queue) == 0


async def test_a_migration_drops_figures_that_were_kept_without_triggers(
    queue: Queue, database_url: str
) -> None:
    await queue.sent()
    await keep_noon(queue)
    run(database_url, "UPDATE certctl_mcp_version SET version_num = '0010'")
    async with Database.open(database_url):
        assert stored(database_url) == set()
    assert not (await backend_for(database_url).inspect()).missing
    await queue.sent()
    await keep_noon(queue)
    assert stored(database_url) == BOTH


ATTEMPT = """
INSERT INTO notification_attempts (notification_id, number, started_at, duration, outcome, worker, channel)
SELECT id, 9, $1, 1, 'failed', 'w', channel FROM notification_events
"""


@pytest.mark.postgresql
async def test_figures_are_not_kept_while_another_transaction_runs(
    queue: Queue, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have changed the period before that was marked, and commit after it was counted."""
    await queue.sent()
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        await other.execute(ATTEMPT, NOON)
        with monkeypatch.context() as impatient:
            impatient.setattr("storage.repository.ENDS_SOON", timedelta(milliseconds=20))
            assert await queue.repository.keep_figures([THIS_HOUR]) == 0
    await other.close()
    await keep_noon(queue)
    await assert_exact(queue.repository, database_url)


@pytest.mark.postgresql
async def test_figures_wait_for_transactions_that_did_not_see_each_other(
    queue: Queue, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: set[int] = set()
    waiting, waiting_again = asyncio.Event(), asyncio.Event()

    def look(connection: Connection, before: int | None) -> bool:
        assert before is not None
        waits.add(before)
        (waiting_again if len(waits) > 1 else waiting).set()
        return have_ended(connection, before)

    monkeypatch.setattr("storage.repository.have_ended", look)
    await queue.pending()
    first, second = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    attempt, acceptance = first.transaction(), second.transaction()
    await attempt.start()
    await first.execute(ATTEMPT.replace("'failed'", "'sent'"), NOON)
    keeping = asyncio.create_task(queue.repository.keep_figures([THIS_HOUR]))
    await waiting.wait()
    await acceptance.start()
    await second.execute("UPDATE notification_events SET created_at = $1", NOON - HOUR)
    await attempt.commit()
    again = asyncio.create_task(waiting_again.wait())
    await asyncio.wait({keeping, again}, return_when=asyncio.FIRST_COMPLETED)
    await acceptance.commit()
    assert await keeping == 1
    again.cancel()
    await first.close()
    await second.close()
    await assert_exact(queue.repository, database_url)


@pytest.mark.postgresql
@pytest.mark.parametrize("commits", ["before", "after"])
async def test_figures_are_not_kept_if_a_transaction_changes_the_period_unseen(
    queue: Queue, database: Database, database_url: str, commits: str
) -> None:
    """The count doesn't see its change, which it commits before or after the figures would be kept."""
    await queue.sent()
    found = await marked(database)
    other = await asyncpg.connect(database_url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(ATTEMPT, NOON)
    counted = Counted(found, await figures(database, found))
    if commits == "before":
        await transaction.commit()
    assert not await database.write(keep, counted)
    if commits == "after":
        await transaction.commit()
    await other.close()
    assert stored(database_url) == set()
    await assert_exact(queue.repository, database_url)


@pytest.mark.postgresql
async def test_a_change_made_while_figures_are_being_kept_drops_them(
    queue: Queue, database: Database, database_url: str
) -> None:
    claim = await queue.claimed()
    await marked(database)
    builder = await asyncpg.connect(database_url)
    async with builder.transaction():
        await builder.execute("UPDATE notification_figures SET figures = '{}', builder = NULL")
        recording = asyncio.create_task(queue.repository.record_sent(claim, TOOK))
        while not await builder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            pass
    assert await recording
    await builder.close()
    assert stored(database_url) == set()


@pytest.mark.postgresql
@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_a_transaction_that_does_not_see_new_figures_fails_instead_of_leaving_them(
    queue: Queue, database_url: str, isolation: str
) -> None:
    await queue.sent()
    other = await asyncpg.connect(database_url)
    transaction = other.transaction(isolation=isolation)
    await transaction.start()
    await other.fetch("SELECT count(*) FROM notification_figures")
    await keep_noon(queue)
    with pytest.raises(asyncpg.SerializationError):
        await other.execute(ATTEMPT, NOON)
    await transaction.rollback()
    async with other.transaction(isolation=isolation):
        await other.execute(ATTEMPT, NOON)
    await other.close()
    assert stored(database_url) == set()
    await assert_exact(queue.repository, database_url)


@pytest.mark.postgresql
@pytest.mark.parametrize("others", ["", ", notification_figures"])
async def test_truncating_the_attempts_drops_all_figures(
    queue: Queue, database: Database, database_url: str, others: str
) -> None:
    await queue.sent()
    await keep_noon(queue)
    found = await marked(database, FigurePeriod(NOON - HOUR, 1))
    run(database_url, f"TRUNCATE notification_attempts{others}")
    assert stored(database_url) == set()
    assert await database.read(figures_of, found, None) is None


@pytest.mark.postgresql
async def test_a_builder_waits_for_no_transaction_that_removes_its_mark(
    queue: Queue, database: Database, database_url: str
) -> None:
    await queue.sent()
    found = await marked(database)
    counted = Counted(found, await figures(database, found))
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        await other.execute(ATTEMPT, NOON)
        assert not await database.write(keep, counted)
        assert await database.write(mark, [THIS_HOUR]) == ()
    await other.close()


@pytest.mark.postgresql
async def test_a_user_without_privileges_for_the_figures_can_change_attempts(
    queue: Queue, database_url: str
) -> None:
    await queue.sent()
    await keep_noon(queue)
    user = "without_figures"
    other = await asyncpg.connect(database_url)
    await other.execute(f"CREATE ROLE {user}")
    try:
        await other.execute(f"GRANT SELECT, DELETE ON notification_attempts TO {user}")
        await other.execute(f"SET ROLE {user}; SET search_path = ''")
        await other.execute("DELETE FROM public.notification_attempts")
    finally:
        await other.execute(f"RESET ROLE; RESET search_path; DROP OWNED BY {user}; DROP ROLE {user}")
        await other.close()
    assert stored(database_url) == set()


async def test_writers_and_builders_at_the_same_time_leave_only_exact_figures(
    queue: Queue, database_url: str
) -> None:
    for _ in range(20):
        await queue.pending()
    claims = await queue.claim_due()

    async def deliver() -> None:
        for claim in claims:
            await queue.repository.record_sent(claim, TOOK)

    async def build(repository: NotificationRepository) -> None:
        for _ in range(10):
            for period in (THIS_HOUR, THIS_DAY):
                await repository.keep_figures([period])

    async with Database.open(database_url, clock=queue.clock) as other:
        await asyncio.gather(deliver(), build(queue.repository), build(NotificationRepository(other)))
    await assert_exact(queue.repository, database_url)
