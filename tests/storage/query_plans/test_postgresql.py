"""Every frequent statement uses its index on PostgreSQL too.

The plans are those of the statements as they ran, prepared and executed repeatedly.
"""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import asyncpg
import pytest

from storage.database import Database
from storage.models import NotificationFilter, Room, Urgency
from storage.queries import listing
from storage.queries.backlog import backlog
from storage.queries.certificates import urgency_counts
from storage.repository import NotificationRepository
from tests import postgresql
from tests.builders import CHANNELS, NOON, Queue, next_due_at
from tests.postgresql import Server
from tests.storage.query_plans.hot_queries import CHANGES, DEAD, DUE, FILTERS, READS, Operation
from tests.storage.query_plans.large_tables import fill_postgresql
from tests.storage.query_plans.plans import recorded
from tests.storage.query_plans.postgresql_plans import Scan, scans
from tests.text_index import TEXT_INDEX, create_text_index, drop_text_index

pytestmark = pytest.mark.postgresql

OFTEN_SCANNED = {"a type counted"}
"""They match a third of the rows, so a sequential scan may be fastest."""

ALTERNATIVES: dict[str, set[str]] = {
    # Claimed rows are updated by their key; here there are none.
    "claim suspects": {"primary key"},
    # Two indexes may be combined.
    "dead letters of a certificate counted": {"events_newest_by_status"},
    "dead letters of a recipient": {"events_newest_by_recipient"},
    "status in a period": {"events_newest"},
    "channel": {"events_newest"},
    "type": {"events_newest"},
    "sent in a channel": {"events_newest_by_status"},
}
"""Other indexes that are just as good, depending on the statistics."""


@pytest.fixture(scope="module")
def large(postgresql_server: Server) -> Iterator[str]:
    url = asyncio.run(postgresql.create_database(postgresql_server))
    asyncio.run(fill_postgresql(url))
    yield url
    asyncio.run(postgresql.drop_database(postgresql_server, url))


@pytest.fixture
def database_url(large: str) -> str:
    return large


async def scanned(queue: Queue, url: str, operation: Operation) -> list[Scan]:
    with recorded() as statements:
        await operation(queue)
    return await scans(url, statements)


@pytest.mark.parametrize("name", sorted({*CHANGES, *READS} - OFTEN_SCANNED))
async def test_each_statement_uses_its_index(queue: Queue, database_url: str, name: str) -> None:
    operation, indexes = (CHANGES | READS)[name]
    found = await scanned(queue, database_url, operation)
    assert [scan for scan in found if not scan.index or not scan.bounded] == []
    assert indexes <= {scan.index for scan in found} <= indexes | ALTERNATIVES.get(name, set())


@pytest.mark.parametrize("name", FILTERS)
async def test_a_page_is_read_from_an_index_up_to_its_limit(
    queue: Queue, database_url: str, name: str
) -> None:
    conditions, index = FILTERS[name]
    wanted = NotificationFilter.model_validate(conditions)

    async def two_pages(queue: Queue) -> None:
        first = await queue.repository.list(wanted, limit=20)
        assert first.next_cursor is not None
        await queue.repository.list(wanted, limit=20, cursor=first.next_cursor)

    found = await scanned(queue, database_url, two_pages)
    assert [scan for scan in found if not scan.index or not scan.bounded] == []
    assert {scan.index.removeprefix("events_") for scan in found} <= {index} | {
        also.removeprefix("events_") for also in ALTERNATIVES.get(name, set())
    }


@pytest.mark.parametrize(
    ("names", "index"), [("channels_in_use", "newest_by_channel"), ("types_in_use", "newest_by_type")]
)
async def test_names_in_use_are_found_by_index_search(
    queue: Queue, database_url: str, names: str, index: str
) -> None:
    found = await scanned(queue, database_url, lambda queue: getattr(queue.repository, names)())
    assert {scan.index for scan in found} == {f"events_{index}"}
    assert all(scan.bounded for scan in found)


async def test_the_audit_log_is_read_in_key_order_up_to_the_limit(queue: Queue, database_url: str) -> None:
    (found,) = await scanned(queue, database_url, lambda queue: queue.repository.audit_log(limit=50))
    assert (found.index, found.bounded) == ("primary key", True)


async def test_the_search_for_similar_ids_is_bounded(queue: Queue, database_url: str) -> None:
    found = await scanned(queue, database_url, lambda queue: queue.repository.similar_ids("notif-0043x111"))
    assert {scan.index for scan in found} == {"events_newest", "primary key"}
    assert all(scan.bounded for scan in found)


async def test_the_optional_index_serves_text_searches(queue: Queue, database_url: str) -> None:
    wanted = NotificationFilter(text="no such text")
    await create_text_index(database_url)
    with recorded() as statements:
        await queue.repository.list(wanted, limit=20)
        await queue.repository.count(wanted)
    found = await scans(database_url, statements, cached_plan="force_custom_plan")
    await drop_text_index(database_url)
    assert {scan.index for scan in found} == {TEXT_INDEX}
    assert all(scan.bounded for scan in found)


async def test_rescues_use_their_indexes(queue: Queue, database: Database, database_url: str) -> None:
    rescuing = Queue(NotificationRepository(database, rescue_after=timedelta(minutes=5)), queue.clock)

    async def look(rescuing: Queue) -> None:
        await rescuing.claim_due(channels=CHANNELS, slots=20, room=Room(10))
        await next_due_at(rescuing.repository)
        await rescuing.repository.stuck_channels(timedelta(minutes=5))

    found = await scanned(rescuing, database_url, look)
    assert [scan for scan in found if not scan.index or not scan.bounded] == []
    assert {"events_pending", "events_rescue"} <= {scan.index for scan in found}


async def test_with_certctls_tables_urgency_reads_only_the_requested_notifications(
    queue: Queue, database: Database, database_url: str
) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "CREATE TABLE managed_certificates"
        " (id TEXT PRIMARY KEY, status TEXT, expires_at TIMESTAMPTZ, last_renewal_at TIMESTAMPTZ)"
    )
    await connection.execute(
        "INSERT INTO managed_certificates SELECT 'mc-' || n, 'Active', now(), now()"
        " FROM generate_series(1, 50000) AS n"
    )
    await connection.execute("ANALYZE managed_certificates")

    async def look(queue: Queue) -> None:
        urgent = DEAD.model_copy(update={"urgency": Urgency.URGENT, "urgent_until": NOON})
        for wanted in (DEAD, urgent):
            beside = wanted.model_copy(update={"beside_certctl": True})
            await database.read(urgency_counts, beside, until=NOON)
            await database.read(listing.list_page, beside, limit=50, cursor=None)

    with recorded() as statements:
        await look(queue)
    found = await scans(database_url, statements)
    await connection.execute("DROP TABLE managed_certificates")
    await connection.close()
    # certctl's table is read through its key or once as a whole, whichever is less.
    assert {scan.index for scan in found} <= {"events_newest_by_status", "events_newest_by_certificate"}
    assert all(scan.bounded for scan in found)


async def test_the_backlog_is_found_by_index_despite_stale_statistics(
    queue: Queue, database: Database, database_url: str
) -> None:
    """The statistics are collected while everything is sent; then one channel fills the backlog."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE notification_events SET status = 'sent', next_retry_at = NULL"
        " WHERE status IN ('pending', 'failed')"
    )
    await connection.execute("VACUUM ANALYZE notification_events")
    await connection.execute(
        "INSERT INTO notification_events"
        " (id, type, channel, recipient, message, status, created_at, next_retry_at)"
        " SELECT 'burst-' || n, 'Revocation', 'Slack', '', 'm',"
        " CASE n % 3 WHEN 0 THEN 'pending' ELSE 'failed' END, now(), CASE n % 3 WHEN 1 THEN now() END"
        " FROM generate_series(1, 6000) AS n"
    )
    await connection.close()
    await queue.pending(channel="Email")

    async def look(queue: Queue) -> None:
        queue.clock.now = NOON + timedelta(days=365 * 20)
        await queue.claim_due(channels=CHANNELS, slots=20, room=Room(10))
        await next_due_at(queue.repository)
        await database.read(backlog, queue.clock())

    found = await scanned(queue, database_url, look)
    assert {scan.index for scan in found} == DUE | {"primary key"}
    assert all(scan.bounded for scan in found)
