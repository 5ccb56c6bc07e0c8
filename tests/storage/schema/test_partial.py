"""On a database with part of the schema, every query returns the same as after the migration."""

from datetime import timedelta

from storage.database import Database
from storage.models import NotificationFilter, NotificationStatus
from storage.queries.backlog import backlog
from storage.read_only import ReadOnlyReason
from storage.repository import NotificationRepository
from storage.schema.migrations import Migrate
from tests.builders import NOON, SettableClock
from tests.storage.figure_triggers import drop_triggers
from tests.storage.raw_sql import insert_row, run

ABSENT = ("read_at", "error", "last_error", "retry_count", "claimed_at", "attempt_count", "abandoned_count")
DAY = timedelta(days=1)


async def all_query_results(url: str, *, migrate: Migrate) -> dict[str, object]:
    async with Database.open(url, clock=SettableClock(), migrate=migrate) as database:
        if migrate is Migrate.ALWAYS:
            assert database.read_only is None
        else:
            assert database.read_only is not None
            assert database.read_only.reason is ReadOnlyReason.SCHEMA_INCOMPLETE
        repository = NotificationRepository(database)
        no_filter = NotificationFilter()
        due = await database.read(backlog, NOON)
        return {
            "list": await repository.list(no_filter),
            "search": await repository.list(NotificationFilter(text="WRITTEN", channel="Email")),
            "get": await repository.get("foreign-1"),
            "attempts": await repository.attempts("foreign-1"),
            "audit": await repository.audit("foreign-1", limit=9),
            "count": await repository.count(NotificationFilter(statuses=(NotificationStatus.DEAD,))),
            "breakdown": await repository.breakdown(no_filter),
            "ids": await repository.matching_ids(no_filter, limit=9),
            "similar": await repository.similar_ids("foreign-3"),
            "channels": await repository.channels_in_use(),
            "types": await repository.types_in_use(),
            "groups": await repository.failure_groups(no_filter, limit=9),
            "counts": await repository.queue_counts(),
            "records": await repository.channel_records(DAY),
            "deliveries": await repository.delivery_figures(NOON - DAY, NOON),
            "steps": await repository.deliveries_over_time(
                NOON - DAY, NOON, beginning=NOON - DAY, step=timedelta(hours=6)
            ),
            "backlog": due,
        }


async def test_missing_columns_and_tables_read_as_after_the_migration(fresh_url: str) -> None:
    async with Database.open(fresh_url):
        pass
    drop_triggers(fresh_url)
    for column in ABSENT:
        run(fresh_url, f"ALTER TABLE notification_events DROP COLUMN {column}")
    for table in ("notification_attempts", "notification_audit", "notification_figures"):
        run(fresh_url, f"DROP TABLE {table}")
    run(fresh_url, "DELETE FROM certctl_mcp_version")
    for number, status in enumerate(("pending", "failed", "dead", "sent", "read")):
        insert_row(fresh_url, id=f"foreign-{number}", status=status, without={"error"})
    unmigrated = await all_query_results(fresh_url, migrate=Migrate.NEVER)
    assert len(str(unmigrated["list"])) > 500
    assert unmigrated == await all_query_results(fresh_url, migrate=Migrate.ALWAYS)
