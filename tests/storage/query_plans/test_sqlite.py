"""Every frequent statement uses its index on a large table.

The plans are those of the statements as they ran. A bound parameter where the predicate needs a literal keeps
SQLite from using the partial index, and fails the test.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from storage.database import Database
from storage.models import NotificationFilter
from storage.queries.queue_stats import COUNT_BY_STATUS, COUNT_UNDELIVERED
from tests.builders import NOON, Queue
from tests.storage.query_plans.hot_queries import CHANGES, FILTERS, READS, Operation
from tests.storage.query_plans.large_tables import ROWS, fill
from tests.storage.query_plans.plans import Step, instructions, plan, recorded


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("large") / "notifications.db"
    fill(path)
    yield path
    path.unlink()


@pytest.fixture
def database_path(large: Path) -> Path:
    return large


async def steps(queue: Queue, database_path: Path, operation: Operation) -> list[Step]:
    with recorded() as statements:
        await operation(queue)
    assert statements
    return plan(database_path, statements)


@pytest.mark.parametrize("name", [*CHANGES, *READS])
async def test_each_statement_uses_its_index(queue: Queue, database_path: Path, name: str) -> None:
    operation, indexes = (CHANGES | READS)[name]
    reading = [step for step in await steps(queue, database_path, operation) if step.reads_a_table]
    assert [step.detail for step in reading if not step.searches] == []
    assert {step.index for step in reading} == indexes


@pytest.mark.parametrize("name", FILTERS)
async def test_a_list_is_read_from_its_index_in_order(queue: Queue, database_path: Path, name: str) -> None:
    conditions, index = FILTERS[name]
    wanted = NotificationFilter.model_validate(conditions)
    first = await queue.repository.list(wanted, limit=20)
    assert first.next_cursor is not None
    with recorded() as statements:
        await queue.repository.list(wanted, limit=20)
        await queue.repository.list(wanted, limit=20, cursor=first.next_cursor)
    begun, continued = plan(database_path, statements)
    assert begun.index == continued.index == f"events_{index}"
    assert begun.searches or name == "everything"
    assert continued.searches


@pytest.mark.parametrize("name", FILTERS)
async def test_a_later_page_costs_no_more_than_the_first(
    queue: Queue, database_path: Path, name: str
) -> None:
    wanted = NotificationFilter.model_validate(FILTERS[name][0])
    cursor = None
    for _ in range(3):
        page = await queue.repository.list(wanted, limit=60, cursor=cursor)
        cursor = page.next_cursor or cursor
    with recorded() as statements:
        await queue.repository.list(wanted, limit=60, cursor=cursor)
    assert instructions(database_path, statements[0]) < 20


async def test_a_list_of_several_statuses_reads_at_most_a_page_of_each(
    queue: Queue, database_path: Path
) -> None:
    wanted = NotificationFilter.model_validate({"statuses": ["sent", "dead", "read"]})
    with recorded() as statements:
        page = await queue.repository.list(wanted, limit=50)
        await queue.repository.list(wanted, limit=50, cursor=page.next_cursor)
    assert max(instructions(database_path, statement) for statement in statements) < 20


async def test_attempts_are_counted_from_a_covering_index_and_first_attempts_found_by_key(
    queue: Queue, database_path: Path
) -> None:
    with recorded() as statements:
        await queue.repository.delivery_figures(NOON - timedelta(days=7), NOON)
    outcomes, retries, _times = statements[-3:]
    counted, unanswered = [
        step for step in plan(database_path, [outcomes]) if "attempts_recent" in step.detail
    ]
    assert "COVERING INDEX" in counted.detail
    assert "COVERING INDEX" not in unanswered.detail
    later, earlier = [
        step for step in plan(database_path, [retries]) if step.searches or "SCAN" in step.detail
    ]
    assert "COVERING INDEX" in later.detail
    # Newer versions of SQLite write "earlier EXISTS".
    assert earlier.detail.startswith("SEARCH earlier ")
    assert "USING PRIMARY KEY" in earlier.detail


async def test_only_figures_within_the_period_are_read(queue: Queue, database_path: Path) -> None:
    since = NOON - timedelta(days=14)
    read = await steps(
        queue,
        database_path,
        lambda queue: queue.repository.delivery_figures(since, since + timedelta(days=3)),
    )
    found = [step.detail for step in read if "notification_figures" in step.detail]
    assert len(found) == 2
    assert all("(hours=? AND ends_at>? AND ends_at<?)" in detail for detail in found)


async def test_the_audit_log_is_read_in_key_order_up_to_the_limit(queue: Queue, database_path: Path) -> None:
    with recorded() as statements:
        await queue.repository.audit_log(limit=50)
    assert [step.detail for step in plan(database_path, statements)] == ["SCAN notification_audit"]
    assert instructions(database_path, statements[0]) < 20


async def test_counts_read_only_indexes(queue: Queue, database_path: Path) -> None:
    read = await steps(queue, database_path, lambda queue: queue.repository.queue_counts())
    assert all("COVERING INDEX" in step.detail and step.searches for step in read if step.reads_a_table)


async def test_without_kept_counts_rows_are_counted_from_indexes(
    database: Database, database_path: Path
) -> None:
    def count(connection: Connection) -> None:
        for query in (COUNT_BY_STATUS, COUNT_UNDELIVERED):
            connection.execute(query).all()

    with recorded() as statements:
        await database.read(count)
    read = plan(database_path, statements)
    assert all("COVERING INDEX" in step.detail for step in read if step.reads_a_table)
    assert [step.index for step in read if step.reads_a_table] == [
        "events_newest_by_status",
        "events_newest_undelivered",
    ]


@pytest.mark.parametrize(
    ("names", "index"), [("channels_in_use", "newest_by_channel"), ("types_in_use", "newest_by_type")]
)
async def test_names_in_use_are_found_by_index_search(
    queue: Queue, database_path: Path, names: str, index: str
) -> None:
    read = await steps(queue, database_path, lambda queue: getattr(queue.repository, names)())
    assert {step.index for step in read if step.reads_a_table} == {f"events_{index}"}
    assert all(step.searches for step in read if step.reads_a_table)


@pytest.mark.usefixtures("database_path")
async def test_the_table_is_large(queue: Queue) -> None:
    assert sum((await queue.repository.count_by_status()).values()) >= ROWS


async def test_a_count_reads_only_an_index(queue: Queue, database_path: Path) -> None:
    read = await steps(queue, database_path, lambda queue: queue.repository.count(NotificationFilter()))
    assert all("COVERING INDEX" in step.detail for step in read if step.reads_a_table)


async def test_the_search_for_similar_endings_reads_only_an_index(queue: Queue, database_path: Path) -> None:
    read = await steps(queue, database_path, lambda queue: queue.repository.similar_ids("notif-0043x111"))
    ending, *neighbours = [step for step in read if step.reads_a_table]
    assert "COVERING INDEX" in ending.detail
    assert {(step.index, step.searches) for step in neighbours} == {("primary key", True)}
