from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from certctl_mcp.services.dashboard import DashboardSummary
from certctl_mcp.services.stats import StatsService
from storage.database import Database
from storage.models import OUR_STATUSES, NotificationStatus
from storage.sql.types import sortable
from tests.builders import NOON, WAIT, Queue, SettableClock
from tests.storage.raw_sql import run

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)

Row = Sequence[str | datetime | None]


pytestmark = pytest.mark.both_databases


def write_table(database_url: str, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """One of certctl's tables, with the columns that the summary reads."""
    kinds = (f"{name} {'TIMESTAMPTZ' if name.endswith('_at') else 'TEXT'}" for name in columns)
    run(database_url, f"CREATE TABLE {table} ({', '.join(kinds)})")
    as_text = database_url.startswith("sqlite")
    for row in rows:
        values = [sortable(each) if as_text and isinstance(each, datetime) else each for each in row]
        marks = ", ".join(f"${number}" for number, _ in enumerate(row, 1))
        run(database_url, f"INSERT INTO {table} VALUES ({marks})", *values)


@pytest.fixture
def stats(database: Database, queue: Queue) -> StatsService:
    return StatsService(database, queue.repository)


async def test_the_summary_of_an_empty_queue_is_all_zeros(stats: StatsService) -> None:
    assert await stats.dashboard_summary() == DashboardSummary(
        notifications=dict.fromkeys(OUR_STATUSES, 0),
        unreadable=("certificates", "agents", "jobs"),
        completed_at=NOON,
    )


async def test_the_queue_is_counted_by_status(stats: StatsService, queue: Queue) -> None:
    oldest = await queue.dead()
    queue.clock.advance(MINUTE)
    for state in ("dead", "failed", "sent", "skipped", "read", "pending"):
        await getattr(queue, state)()
    summary = await stats.dashboard_summary()
    assert summary.notifications == {
        NotificationStatus.PENDING: 1,
        NotificationStatus.SENT: 2,
        NotificationStatus.FAILED: 1,
        NotificationStatus.DEAD: 2,
        NotificationStatus.READ: 1,
    }
    assert summary.notifications_dead == 2
    assert summary.notifications_undelivered == 1
    assert summary.oldest_dead_at == oldest.created_at
    assert summary.next_retry_at == NOON + MINUTE + WAIT


async def test_certificates_are_counted_by_remaining_lifetime(stats: StatsService, database_url: str) -> None:
    rows: list[Row] = [
        ("Active", NOON + 90 * DAY),
        ("Active", NOON + 29 * DAY),
        ("Expiring", NOON + 31 * DAY),
        ("Active", NOON - DAY),
        ("Expired", NOON - 90 * DAY),
        ("Revoked", NOON + 10 * DAY),
        ("Revoked", NOON - DAY),
    ]
    write_table(database_url, "managed_certificates", ("status", "expires_at"), rows)
    summary = await stats.dashboard_summary()
    assert summary.total_certificates == 7
    assert summary.expiring_certificates == 1
    assert summary.expired_certificates == 2
    assert summary.revoked_certificates == 2
    assert "certificates" not in summary.unreadable


async def test_agents_seen_within_five_minutes_are_active(stats: StatsService, database_url: str) -> None:
    heartbeats: list[Row] = [(NOON,), (NOON - 4 * MINUTE,), (NOON - 6 * MINUTE,), (None,)]
    write_table(database_url, "agents", ("last_heartbeat_at",), heartbeats)
    summary = await stats.dashboard_summary()
    assert (summary.total_agents, summary.active_agents, summary.offline_agents) == (4, 2, 2)


async def test_retired_agents_are_not_counted(stats: StatsService, database_url: str) -> None:
    agents: list[Row] = [(NOON, None), (NOON, NOON - DAY), (NOON - DAY, None), (NOON - DAY, NOON - DAY)]
    write_table(database_url, "agents", ("last_heartbeat_at", "retired_at"), agents)
    summary = await stats.dashboard_summary()
    assert (summary.total_agents, summary.active_agents, summary.offline_agents) == (2, 1, 1)


async def test_jobs_are_pending_until_they_failed_or_completed(
    stats: StatsService, database_url: str
) -> None:
    waiting = ("Pending", "AwaitingCSR", "AwaitingApproval", "Running")
    rows = [(status,) for status in (*waiting, "Failed", "Failed", "Completed", "Cancelled")]
    write_table(database_url, "jobs", ("status",), rows)
    summary = await stats.dashboard_summary()
    assert (summary.pending_jobs, summary.failed_jobs, summary.complete_jobs) == (4, 2, 1)


async def test_a_table_with_other_columns_is_unreadable_and_the_rest_is_counted(
    stats: StatsService, queue: Queue, database_url: str
) -> None:
    write_table(database_url, "managed_certificates", ("subject",), [("example.com",)])
    write_table(database_url, "jobs", ("status",), [("Failed",)])
    await queue.dead()
    summary = await stats.dashboard_summary()
    assert summary.unreadable == ("certificates", "agents")
    assert (summary.total_certificates, summary.failed_jobs, summary.notifications_dead) == (0, 1, 1)


async def test_without_a_notification_repository_notifications_are_unreadable(
    database: Database, queue: Queue
) -> None:
    await queue.dead()
    summary = await StatsService(database, None).dashboard_summary()
    assert summary.notifications_dead == 0
    assert "notifications" in summary.unreadable


async def test_an_unreadable_queue_is_reported_without_an_exception(
    stats: StatsService, database_url: str
) -> None:
    run(database_url, "ALTER TABLE notification_events RENAME TO moved_away")
    summary = await stats.dashboard_summary()
    assert summary.unreadable == ("certificates", "agents", "jobs", "notifications")


async def test_the_summary_has_the_time_it_was_made(stats: StatsService, clock: SettableClock) -> None:
    clock.advance(DAY)
    assert (await stats.dashboard_summary()).completed_at == NOON + DAY
