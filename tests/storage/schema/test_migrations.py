import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.schema import CreateIndex, CreateTable

from storage.database import Database, backend_for
from storage.models import NotificationFilter, NotificationStatus
from storage.repository import NotificationRepository
from storage.schema.migrations import REVISIONS
from storage.schema.tables import DIALECT, notification_events
from storage.sql.types import sortable
from tests.builders import LEASE, UNLIMITED, SettableClock, next_due_at, request
from tests.storage.raw_sql import connected, insert_row, rows, run

# certctl's migrations 000001, 000016 and 000017, translated to SQLite.
CERTCTL_TABLE = """
CREATE TABLE notification_events (
  id TEXT PRIMARY KEY,
  type VARCHAR(255) NOT NULL,
  certificate_id TEXT,
  channel VARCHAR(255) NOT NULL,
  recipient VARCHAR(255) NOT NULL,
  message TEXT NOT NULL,
  sent_at TIMESTAMPTZ,
  status VARCHAR(50) NOT NULL DEFAULT 'pending',
  error TEXT
);
CREATE INDEX idx_notification_events_certificate_id ON notification_events(certificate_id);
CREATE INDEX idx_notification_events_status ON notification_events(status);
CREATE INDEX idx_notification_events_type ON notification_events(type);
"""
CERTCTL_RETRIES = """
ALTER TABLE notification_events ADD COLUMN retry_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE notification_events ADD COLUMN next_retry_at TIMESTAMPTZ;
ALTER TABLE notification_events ADD COLUMN last_error TEXT;
CREATE INDEX idx_notification_events_retry_sweep ON notification_events(next_retry_at)
  WHERE status = 'failed' AND next_retry_at IS NOT NULL;
"""
CERTCTL_TABLE_WITH_CREATED = CERTCTL_TABLE.replace(
    "error TEXT", "error TEXT, created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP"
)
CERTCTL_ROWS = """
INSERT INTO notification_events
  (id, type, certificate_id, channel, recipient, message, status, sent_at) VALUES
  ('n-1', 'ExpirationWarning', 'mc-1', 'Email', 'ops@example.com', 'waiting', 'pending', NULL),
  ('n-2', 'RenewalFailure', NULL, 'Slack', '#ops', 'to be tried again', 'failed', NULL),
  ('n-3', 'Revocation', 'mc-2', 'Webhook', 'on-call', 'arrived', 'sent', '2025-12-24 18:00:00+01:00');
"""

Schema = dict[str, str]


def schema_of(path: Path) -> Schema:
    with connected(path) as other:
        return dict(other.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))


def write(path: Path, *scripts: str) -> None:
    with connected(path) as other:
        for script in scripts:
            other.executescript(script)


async def migrate(path: Path) -> None:
    async with Database.open(f"sqlite:///{path}"):
        pass


async def all_rows(path: Path, clock: SettableClock) -> dict[str, NotificationStatus]:
    async with Database.open(f"sqlite:///{path}", clock=clock) as database:
        page = await NotificationRepository(database).list(NotificationFilter(), limit=500)
        return {notification.id: notification.status for notification in page.items}


async def test_a_new_file_gets_the_newest_schema(database_path: Path) -> None:
    await migrate(database_path)
    with connected(database_path) as other:
        assert other.execute("SELECT version_num FROM certctl_mcp_version").fetchall() == [(REVISIONS[-1],)]


async def test_a_second_migration_changes_nothing(database_path: Path) -> None:
    await migrate(database_path)
    before = schema_of(database_path)
    write(database_path, "DELETE FROM certctl_mcp_version")
    insert_row(database_path)
    await migrate(database_path)
    assert schema_of(database_path) == before
    assert await all_rows(database_path, SettableClock()) == {"foreign-1": NotificationStatus.PENDING}


@pytest.mark.sqlite
async def test_opening_returns_the_revision_that_was_found(database_url: str) -> None:
    async with Database.open(database_url) as database:
        assert database.found_revision is None
    async with Database.open(database_url) as database:
        assert database.found_revision == REVISIONS[-1]


async def test_a_database_of_an_earlier_version_is_upgraded(database_url: str) -> None:
    async with Database.open(database_url):
        pass
    names = ("origin", "renewals")
    for name in names:
        run(database_url, f"DROP INDEX idx_notification_events_{name}")
    for table, column in (
        ("notification_events", "origin_id"),
        ("notification_events", "tried_channels"),
        ("notification_audit", "detail"),
    ):
        run(database_url, f"ALTER TABLE {table} DROP COLUMN {column}")
    run(database_url, "UPDATE certctl_mcp_version SET version_num = '0005'")
    async with Database.open(database_url) as database:
        assert (database.found_revision, database.read_only) == ("0005", None)
    assert not (await backend_for(database_url).inspect()).missing
    for name in names:
        run(database_url, f"DROP INDEX idx_notification_events_{name}")


certctl_versions = pytest.mark.parametrize(
    "scripts",
    [
        (CERTCTL_TABLE,),
        (CERTCTL_TABLE, CERTCTL_RETRIES),
        (CERTCTL_TABLE_WITH_CREATED, CERTCTL_RETRIES),
    ],
    ids=["without retries", "with retries", "with created_at"],
)


@certctl_versions
async def test_rows_of_certctl_are_kept_and_can_be_claimed(
    database_path: Path, scripts: tuple[str, ...], clock: SettableClock
) -> None:
    write(database_path, *scripts, CERTCTL_ROWS)
    assert await all_rows(database_path, clock) == {
        "n-1": NotificationStatus.PENDING,
        "n-2": NotificationStatus.FAILED,
        "n-3": NotificationStatus.SENT,
    }
    async with Database.open(f"sqlite:///{database_path}", clock=clock) as database:
        claims = (
            await NotificationRepository(database).claim(request("worker-1", LEASE, 10, UNLIMITED))
        ).claims
    assert {claim.notification.id for claim in claims} == {"n-1", "n-2"}


@certctl_versions
async def test_certctl_can_still_write_to_the_table(
    database_path: Path, scripts: tuple[str, ...], clock: SettableClock
) -> None:
    write(database_path, *scripts)
    await migrate(database_path)
    write(database_path, CERTCTL_ROWS)
    assert len(await all_rows(database_path, clock)) == 3


async def test_our_indexes_are_added_to_those_of_certctl(database_path: Path, tmp_path: Path) -> None:
    write(database_path, CERTCTL_TABLE, CERTCTL_RETRIES)
    await migrate(database_path)
    await migrate(tmp_path / "fresh.db")
    fresh = {name for name, sql in schema_of(tmp_path / "fresh.db").items() if "INDEX" in sql}
    certctl_schema = schema_of(database_path)
    assert fresh <= certctl_schema.keys()
    assert "(status)" in certctl_schema["idx_notification_events_status"]


async def test_times_in_other_formats_are_read_and_compared_correctly(
    database_path: Path, clock: SettableClock
) -> None:
    write(database_path, CERTCTL_TABLE_WITH_CREATED, CERTCTL_RETRIES, CERTCTL_ROWS)
    write(
        database_path,
        "UPDATE notification_events SET created_at = '2025-12-24 17:00:00'",
        "UPDATE notification_events SET next_retry_at = '2026-01-01 13:05:00.5+01:00' WHERE id = 'n-2'",
    )
    async with Database.open(f"sqlite:///{database_path}", clock=clock) as database:
        repository = NotificationRepository(database)
        arrived = await repository.get("n-3")
        due = await next_due_at(repository)
    assert arrived.sent_at is not None
    assert sortable(arrived.sent_at) == "2025-12-24T17:00:00.000000+00:00"
    assert arrived.created_at == arrived.sent_at
    assert due is not None
    assert sortable(due) == "2026-01-01T12:05:00.500000+00:00"


NEEDED = {"id", "type", "channel", "recipient", "message"}
OURS = [column.name for column in notification_events.columns if column.name not in NEEDED]
INDEXES = {
    str(index.name): str(CreateIndex(index).compile(create_engine("sqlite://")))
    for index in notification_events.indexes
    if index.info.get(DIALECT) != "postgresql"
}


def partial_schema(columns: set[str], indexes: set[str]) -> str:
    """The table with only some of our columns, and the indexes possible with them."""
    missing = [column for column in OURS if column not in columns]
    permitted = [
        INDEXES[index] for index in indexes if not any(column in INDEXES[index] for column in missing)
    ]
    return ";".join(
        [
            str(CreateTable(notification_events).compile(create_engine("sqlite://"))),
            *(f"ALTER TABLE notification_events DROP COLUMN {column}" for column in missing),
            *permitted,
        ]
    )


@settings(max_examples=12, deadline=None)
@given(columns=st.sets(st.sampled_from(OURS)), indexes=st.sets(st.sampled_from(sorted(INDEXES))))
def test_any_missing_part_of_the_schema_is_added(columns: set[str], indexes: set[str]) -> None:
    with TemporaryDirectory() as directory:
        path, fresh = Path(directory) / "partial.db", Path(directory) / "fresh.db"
        write(path, partial_schema(columns, indexes))
        insert_row(path, without=set(OURS) - columns)
        asyncio.run(migrate(path))
        asyncio.run(migrate(fresh))
        assert schema_of(path).keys() == schema_of(fresh).keys()
        assert columns_of(path) == columns_of(fresh)
        assert len(asyncio.run(all_rows(path, SettableClock()))) == 1


def columns_of(path: Path) -> set[str]:
    with connected(path) as other:
        return {name for _, name, *_ in other.execute("PRAGMA table_info(notification_events)")}


async def test_eight_databases_can_open_a_new_file_at_once(database_path: Path) -> None:
    await asyncio.gather(*(migrate(database_path) for _ in range(8)))
    assert schema_of(database_path)


async def test_several_new_files_can_be_opened_at_once(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.db" for number in range(4)]
    await asyncio.gather(*(migrate(file) for file in files))
    schemas = [schema_of(file) for file in files]
    assert schemas[0]
    assert schemas == schemas[:1] * 4


async def test_a_failed_migration_leaves_the_database_unchanged(database_path: Path) -> None:
    write(database_path, "CREATE VIEW notification_attempts AS SELECT 1 AS notification_id")
    before = schema_of(database_path)
    with pytest.raises(Exception, match="notification_attempts"):
        await migrate(database_path)
    assert schema_of(database_path) == before


@pytest.mark.postgresql
async def test_functions_that_run_as_their_owner_can_be_used_by_nobody_else(
    database: Database, database_url: str
) -> None:
    found = rows(
        database_url,
        "SELECT proname, has_function_privilege('public', oid, 'EXECUTE') FROM pg_proc WHERE prosecdef",
    )
    assert len(found) == 2
    assert all(not usable for _, usable in found)
