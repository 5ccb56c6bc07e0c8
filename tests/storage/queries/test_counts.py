"""Counts are always exact, but cached until something changes."""

from itertools import product

import pytest

from storage.models import AuditAction, NotificationFilter, NotificationStatus
from storage.queries.counts import MAX_CACHED
from storage.repository import NotificationRepository
from tests.builders import Queue
from tests.storage.query_plans.plans import recorded
from tests.storage.raw_sql import insert_row, run

ALL = NotificationFilter()
DEAD = NotificationFilter(statuses=(NotificationStatus.DEAD,))


async def statements_to_count(repository: NotificationRepository, *filters: NotificationFilter) -> int:
    """The number of statements that it takes to count these."""
    with recorded() as statements:
        for wanted in filters:
            await repository.count(wanted)
    return len(statements)


async def test_a_count_is_exact_after_any_change(queue: Queue, database_url: str) -> None:
    for expected in (1, 2):
        await queue.pending()
        assert await queue.repository.count(ALL) == expected
        assert await queue.repository.count(ALL) == expected
    insert_row(database_url, id="theirs")
    assert await queue.repository.count(ALL) == 3
    run(database_url, "UPDATE notification_events SET status = 'dead' WHERE id = 'theirs'")
    assert (await queue.repository.count(ALL), await queue.repository.count(DEAD)) == (3, 1)


async def test_an_outcome_invalidates_cached_counts(queue: Queue) -> None:
    assert await queue.repository.count(DEAD) == 0
    await queue.dead()
    assert await queue.repository.count(DEAD) == 1


@pytest.mark.sqlite
async def test_unchanged_rows_are_not_counted_again(queue: Queue) -> None:
    await queue.dead()
    assert await statements_to_count(queue.repository, ALL, DEAD) > 0
    assert await statements_to_count(queue.repository, ALL, DEAD, ALL) == 0


@pytest.mark.sqlite
async def test_the_oldest_cached_count_is_evicted(queue: Queue) -> None:
    filters = [NotificationFilter(channel=f"channel-{number}") for number in range(MAX_CACHED + 1)]
    await statements_to_count(queue.repository, *filters)
    assert await statements_to_count(queue.repository, *filters[1:]) == 0
    assert await statements_to_count(queue.repository, filters[0]) > 0


async def test_counts_that_triggers_keep_match_the_lists(queue: Queue, database_url: str) -> None:
    for make in (queue.pending, queue.failed, queue.dead, queue.sent, queue.skipped, queue.read):
        for channel in ("Slack", "Email"):
            await make(channel=channel)
    insert_row(database_url, id="theirs-1", status="theirs")
    insert_row(database_url, id="theirs-2", status="sent", channel="Slack")
    several = (NotificationStatus.SENT, NotificationStatus.FAILED, NotificationStatus.OTHER)
    choices: dict[str, tuple[object, ...]] = {
        "statuses": ((), (NotificationStatus.DEAD,), several),
        "channel": (None, "Slack", "Fax"),
        "eligible_for": (None, AuditAction.REQUEUE, AuditAction.MARK_READ, AuditAction.PURGE),
        "stored_statuses": (None, (), ("theirs", "sent")),
    }
    for chosen in product(*choices.values()):
        wanted = NotificationFilter.model_validate(dict(zip(choices, chosen, strict=True)))
        listed = await queue.repository.matching_ids(wanted, limit=100)
        assert await queue.repository.count(wanted) == len(listed.ids), wanted
