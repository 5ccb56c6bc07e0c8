"""The SQL in the documentation removes everything that a migration has added to certctl's schema."""

import re
from pathlib import Path

import pytest

from storage.maintenance.migrate import migrated
from tests import certctl_schema, postgresql
from tests.storage.raw_sql import rows

DOCUMENT = Path(__file__).parents[2] / "docs" / "certctl.md"
ROWS = "SELECT * FROM notification_events ORDER BY id"
PARTS = """
SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'function', proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT event_object_table, trigger_name FROM information_schema.triggers
UNION ALL SELECT 'constraint', conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace
ORDER BY 1, 2
"""


@pytest.mark.postgresql
async def test_nothing_of_ours_is_left(empty_database: str) -> None:
    await postgresql.execute(empty_database, *certctl_schema.NEWEST, *certctl_schema.ROWS)
    before = rows(empty_database, PARTS), rows(empty_database, ROWS)
    await migrated(empty_database)
    added = set(rows(empty_database, PARTS)) - set(before[0])
    assert added
    (removal,) = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    await postgresql.execute(empty_database, removal)
    assert (rows(empty_database, PARTS), rows(empty_database, ROWS)) == before
