"""The counts by channel and status are exact, whoever writes and whatever happens at the same time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.database import Database, backend_for
from storage.models import AuditAction, NotificationFilter, NotificationStatus, Retained
from storage.operations import counts
from storage.operations.retention import Expiry, RetentionRun
from storage.queries.kept_counts import kept_counts
from storage.repository import NotificationRepository
from storage.schema.counting import TRIGGERS
from storage.schema.migrations import Migrate
from tests import certctl_schema
from tests.builders import LEASE, WAIT, Queue, SettableClock
from tests.exploration import size
from tests.postgresql import Server
from tests.storage.changes import purge_some, requeue_some, settle_all, some_ids
from tests.storage.raw_sql import insert_row, rows, run

ROWS = """
SELECT channel, status, status = 'sent' AND sent_at IS NULL, count(*)
FROM notification_events GROUP BY 1, 2, 3
"""
ALL = NotificationFilter()

Counts = Counter[tuple[str, str, bool]]


def counted(url: str) -> Counts:
    """What the rows are."""
    return Counter(
        {(channel, status, bool(undelivered)): n for channel, status, undelivered, n in rows(url, ROWS)}
    )


async def kept(database: Database) -> Counts:
    found = await database.read(kept_counts)
    assert found is not None
    return Counter({(each.channel, each.stored_status, each.undelivered): each.number for each in found})


async def lose_leases(queue: Queue) -> None:
    await queue.claim_due()
    queue.clock.advance(LEASE)


async def mark_all_read(queue: Queue) -> None:
    await queue.repository.mark_all_read(await some_ids(queue, AuditAction.MARK_READ))


async def expire(queue: Queue) -> None:
    for kind in (Retained.READ, Retained.UNDELIVERED):
        await queue.repository.delete_expired(Expiry(kind, queue.clock() + WAIT, RetentionRun("worker-1")))


STEPS: dict[str, Callable[[Queue], Awaitable[object]]] = {
    "pending": Queue.pending,
    "pending in another channel": lambda queue: queue.pending(channel="Slack"),
    "with a key": lambda queue: queue.pending(idempotency_key="key-1"),
    "failed": Queue.failed,
    "dead": Queue.dead,
    "sent": Queue.sent,
    "skipped": Queue.skipped,
    "read": Queue.read,
    "abandoned": Queue.abandoned,
    "settle all": settle_all,
    "lose leases": lose_leases,
    "requeue": requeue_some,
    "mark read": mark_all_read,
    "purge": purge_some,
    "expire": expire,
    "fold": lambda queue: queue.repository.fold_counts(),
}


async def assert_exact(database: Database, url: str) -> None:
    assert await kept(database) == counted(url)


@settings(
    max_examples=size(short=6, long=200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(st.sampled_from(sorted(STEPS)), min_size=3, max_size=12))
async def test_after_any_changes_the_counts_are_those_of_the_rows(
    queue: Queue, database: Database, database_url: str, steps: list[str]
) -> None:
    for step in steps:
        await STEPS[step](queue)
    await assert_exact(database, database_url)


async def test_what_other_programs_write_is_counted(database: Database, database_url: str) -> None:
    for number, status in enumerate(("pending", "pending", "failed", "sent", "theirs")):
        insert_row(database_url, id=f"n-{number}", status=status)
    for statement in (
        "UPDATE notification_events SET status = 'sent', channel = 'Slack' WHERE id IN ('n-0', 'n-2')",
        "UPDATE notification_events SET sent_at = created_at WHERE status = 'sent' AND id <> 'n-2'",
        "UPDATE notification_events SET message = 'changed'",
        """
        INSERT INTO notification_events (id, type, channel, recipient, message, status, created_at)
        SELECT id, type, channel, recipient, message, status, created_at FROM notification_events WHERE true
        ON CONFLICT (id) DO UPDATE SET status = 'dead', id = 'moved-' || excluded.id
        """,
        "DELETE FROM notification_events WHERE id = 'moved-n-4'",
    ):
        run(database_url, statement)
        await assert_exact(database, database_url)
    run(database_url, "DELETE FROM notification_events")
    assert await kept(database) == {}


@pytest.mark.sqlite
async def test_a_conflict_that_is_ignored_counts_nothing(database: Database, database_url: str) -> None:
    insert_row(database_url)
    run(database_url, "INSERT OR IGNORE INTO notification_events SELECT * FROM notification_events")
    run(database_url, "UPDATE OR IGNORE notification_events SET status = 'dead'")
    assert await kept(database) == {("Email", "dead", False): 1}


@pytest.mark.postgresql
@pytest.mark.parametrize("others", ["", ", notification_counts", ", notification_attempts"])
async def test_truncate_leaves_no_counts(database: Database, database_url: str, others: str) -> None:
    insert_row(database_url)
    run(database_url, f"TRUNCATE notification_events{others} CASCADE")
    assert await kept(database) == {}
    insert_row(database_url)
    await assert_exact(database, database_url)


@pytest.mark.postgresql
async def test_a_program_without_privileges_for_the_counts_can_write(
    database: Database, database_url: str
) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "CREATE ROLE counted; GRANT INSERT, UPDATE, SELECT ON notification_events TO counted"
    )
    try:
        # Its own objects must not take part in what the triggers do as their owner.
        await connection.execute(
            "SET ROLE counted; SET search_path = pg_temp, public;"
            " CREATE TEMP TABLE notification_counts (channel text, status text, number int);"
            " INSERT INTO notification_events (id, type, channel, recipient, message, created_at)"
            " VALUES ('n-1', 'Revocation', 'Slack', '', '', now());"
            " UPDATE notification_events SET status = 'dead'"
        )
        assert await connection.fetchval("SELECT count(*) FROM notification_counts") == 0
        assert await kept(database) == {("Slack", "dead", False): 1}
    finally:
        await connection.execute("RESET ROLE; DROP OWNED BY counted; DROP ROLE counted")
        await connection.close()


@pytest.mark.postgresql
async def test_notifications_deleted_with_their_certificate_are_counted(empty_database: str) -> None:
    for statement in (*certctl_schema.NEWEST, *certctl_schema.ROWS):
        run(empty_database, statement)
    async with Database.open(empty_database) as database:
        run(empty_database, "DELETE FROM managed_certificates")
        await assert_exact(database, empty_database)
        assert (await kept(database)).total() == 1


@pytest.mark.postgresql
async def test_a_user_who_may_not_read_the_counts_counts_rows(
    postgresql_url: str, postgresql_server: Server
) -> None:
    insert_row(postgresql_url)
    run(postgresql_url, "CREATE ROLE onlooker LOGIN")
    run(postgresql_url, "GRANT SELECT ON notification_events TO onlooker")
    try:
        url = postgresql_server.url(postgresql_url.rpartition("/")[2], "onlooker")
        async with Database.open(url) as database:
            assert await NotificationRepository(database).count(ALL) == 1
    finally:
        run(postgresql_url, "DROP OWNED BY onlooker")
        run(postgresql_url, "DROP ROLE onlooker")


@pytest.mark.parametrize("trigger", ["insert", "update", "delete"])
async def test_without_a_trigger_the_rows_are_counted(queue: Queue, database_url: str, trigger: str) -> None:
    await queue.pending()
    on_table = "" if database_url.startswith("sqlite") else " ON notification_events"
    run(database_url, f"DROP TRIGGER certctl_mcp_count_{trigger}{on_table}")
    await expect_counts_despite_changes(queue, database_url)


@pytest.mark.postgresql
async def test_while_triggers_are_disabled_the_rows_are_counted(queue: Queue, database_url: str) -> None:
    await queue.pending()
    run(database_url, "ALTER TABLE notification_events DISABLE TRIGGER USER")
    await expect_counts_despite_changes(queue, database_url)


async def expect_counts_despite_changes(queue: Queue, url: str) -> None:
    insert_row(url, id="n-1", status="sent")
    insert_row(url, id="n-2", status="sent")
    run(url, "UPDATE notification_events SET status = 'dead' WHERE id = 'n-1'")
    run(url, "DELETE FROM notification_events WHERE status = 'pending'")
    found = await queue.repository.queue_counts()
    assert {status: n for status, n in found.by_status.items() if n} == {
        NotificationStatus.SENT: 1,
        NotificationStatus.DEAD: 1,
    }
    assert found.undelivered == 1
    assert await queue.repository.count(ALL) == 2


def forget_counting(url: str) -> None:
    """Make the schema that of the revision before."""
    postgresql = url.startswith("postgresql")
    for trigger in TRIGGERS["postgresql" if postgresql else "sqlite"]:
        run(url, f"DROP TRIGGER {trigger.name}{f' ON {trigger.table}' if postgresql else ''}")
    run(url, "DROP TABLE notification_counts")
    run(url, "UPDATE certctl_mcp_version SET version_num = '0010'")


async def test_a_migration_counts_what_there_is(fresh_url: str, clock: SettableClock) -> None:
    async with Database.open(fresh_url):
        pass
    forget_counting(fresh_url)
    assert "table notification_counts" in (await backend_for(fresh_url).inspect()).missing.described
    for number, status in enumerate(("pending", "sent", "sent")):
        insert_row(fresh_url, id=f"n-{number}", status=status)
    async with Database.open(fresh_url, clock=clock, migrate=Migrate.NEVER) as unmigrated:
        reader = NotificationRepository(unmigrated)
        assert await reader.count(ALL) == 3
        async with Database.open(fresh_url) as database:
            assert await kept(database) == {("Email", "pending", False): 1, ("Email", "sent", True): 2}
        assert not (await backend_for(fresh_url).inspect()).missing
        # It was opened before the table existed, and goes on without it.
        assert (await reader.count(ALL), (await reader.queue_counts()).undelivered) == (3, 2)


@pytest.mark.postgresql
async def test_the_counts_may_be_in_another_schema_than_the_notifications(postgresql_url: str) -> None:
    forget_counting(postgresql_url)
    run(postgresql_url, "CREATE SCHEMA ours")
    async with Database.open(f"{postgresql_url}?options=-csearch_path%3Dours,public") as database:
        insert_row(postgresql_url)
        assert await kept(database) == {("Email", "pending", False): 1}
    assert rows(postgresql_url, "SELECT number FROM ours.notification_counts") == [(1,)]


@pytest.mark.postgresql
async def test_a_migration_misses_nothing_that_is_written_meanwhile(postgresql_url: str) -> None:
    async with Database.open(postgresql_url):
        pass
    forget_counting(postgresql_url)
    writing = await asyncpg.connect(postgresql_url)
    transaction = writing.transaction()
    await transaction.start()
    await writing.execute(ONE_MORE, "before")
    async with asyncio.TaskGroup() as tasks:
        migration = tasks.create_task(open_and_read(postgresql_url))
        watching = await asyncpg.connect(postgresql_url)
        while not await watching.fetchval(WAITING_FOR_LOCK):
            pass
        following = tasks.create_task(watching.execute(ONE_MORE, "after"))
        await transaction.commit()
    await writing.close()
    await watching.close()
    assert following.result() == "INSERT 0 1"
    assert set(migration.result().values()) <= {1, 2}
    assert await open_and_read(postgresql_url) == counted(postgresql_url) == {("Email", "pending", False): 2}


ONE_MORE = """
INSERT INTO notification_events (id, type, channel, recipient, message, created_at)
VALUES ($1, 'Revocation', 'Email', '', '', now())
"""
WAITING_FOR_LOCK = """
SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'notification_events'::regclass
"""


async def open_and_read(url: str) -> Counts:
    async with Database.open(url) as database:
        return await kept(database)


@pytest.mark.postgresql
async def test_folding_beside_writers_and_readers_changes_no_count(
    queue: Queue, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "_MANY", counts._MANY.offset(1))
    made = [(await queue.pending(message=str(number))).id for number in range(8)]
    async with Database.open(database_url, clock=queue.clock) as another:
        sides = [NotificationRepository(side) for side in (database, another)]
        ended = asyncio.Event()

        async def fold(side: NotificationRepository) -> None:
            while not ended.is_set():
                await side.fold_counts()

        async def look() -> None:
            while not ended.is_set():
                assert (await kept(database)).total() == len(made)

        async def change(side: NotificationRepository, ids: list[str]) -> None:
            for _ in range(10):
                await side.mark_all_read(ids)
                run(database_url, "UPDATE notification_events SET status = 'dead' WHERE id = ANY($1)", ids)

        async with asyncio.TaskGroup() as tasks:
            for each in (*map(fold, sides), look()):
                tasks.create_task(each)
            await asyncio.gather(*(change(side, made[n::2]) for n, side in enumerate(sides)))
            ended.set()
    await queue.repository.fold_counts()
    await assert_exact(database, database_url)
    assert rows(database_url, "SELECT count(*) FROM notification_counts") == [(1,)]


@pytest.mark.postgresql
async def test_folding_waits_for_no_other_process(
    queue: Queue, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "_MANY", counts._MANY.offset(0))
    await queue.pending()
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        await other.execute(ONE_MORE, "uncommitted")
        await other.execute("SELECT pg_advisory_xact_lock($1)", counts._FOLD_LOCK)
        await other.execute("DELETE FROM notification_counts")
        await queue.repository.fold_counts()
    await other.close()


@pytest.mark.postgresql
async def test_many_rows_are_folded_in_parts(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(
        database_url,
        "INSERT INTO notification_counts (channel, status, undelivered, number)"
        " SELECT 'Slack', 'dead', false, 1 FROM generate_series(1, 25000)",
    )
    await NotificationRepository(database).fold_counts()
    found = rows(database_url, "SELECT count(*), sum(number) FROM notification_counts")
    assert found[0][0] < counts.FOLDED_FROM
    assert found[0][1] == 25_000
