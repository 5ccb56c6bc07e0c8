"""A count is exact at its moment, whoever changed what; it is only counted when something has changed."""

import pytest

from storage.models import NotificationFilter, NotificationStatus
from storage.queries.counts import MOST_CACHED
from storage.repository import NotificationRepository
from tests.builders import Queue
from tests.storage.foreign import insert_row, run
from tests.storage.query_plans.plans import recorded

ALL = NotificationFilter()
DEAD = NotificationFilter(statuses=(NotificationStatus.DEAD,))


async def counting(repository: NotificationRepository, *filters: NotificationFilter) -> int:
    """The statements that it takes to count these."""
    with recorded() as statements:
        for wanted in filters:
            await repository.count(wanted)
    return len(statements)


async def test_a_count_is_of_this_moment_whoever_changed_it(queue: Queue, database_url: str) -> None:
    for expected in (1, 2):
        await queue.pending()
        assert await queue.repository.count(ALL) == expected
        assert await queue.repository.count(ALL) == expected
    insert_row(database_url, id="theirs")
    assert await queue.repository.count(ALL) == 3
    run(database_url, "UPDATE notification_events SET status = 'dead' WHERE id = 'theirs'")
    assert (await queue.repository.count(ALL), await queue.repository.count(DEAD)) == (3, 1)


async def test_an_outcome_changes_counts_that_were_remembered(queue: Queue) -> None:
    assert await queue.repository.count(DEAD) == 0
    await queue.dead()
    assert await queue.repository.count(DEAD) == 1


@pytest.mark.sqlite
async def test_what_has_not_changed_is_not_counted_again(queue: Queue) -> None:
    await queue.dead()
    assert await counting(queue.repository, ALL, DEAD) > 0
    assert await counting(queue.repository, ALL, DEAD, ALL) == 0


@pytest.mark.sqlite
async def test_only_so_many_counts_are_remembered_the_oldest_least(queue: Queue) -> None:
    filters = [NotificationFilter(channel=f"channel-{number}") for number in range(MOST_CACHED + 1)]
    await counting(queue.repository, *filters)
    assert await counting(queue.repository, *filters[1:]) == 0
    assert await counting(queue.repository, filters[0]) > 0
