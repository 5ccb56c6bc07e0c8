"""A row that another program put in a status of its own is in nobody's way, and stays as it is."""

from datetime import timedelta

import pytest

from storage.errors import IdempotencyConflictError, NotificationConflictError
from storage.models import BulkReport, NotificationFilter, NotificationStatus
from tests.builders import Queue, SettableClock, new_notification
from tests.storage.foreign import insert_row, rows

ALL = NotificationFilter()
THEIRS = "theirs"


@pytest.fixture(params=["paused", "DEAD", ""])
def status(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def beside(queue: Queue, database_url: str, status: str) -> str:
    """The id of a dead notification next to one in a status that is not of the contract."""
    contents = new_notification(idempotency_key="key-1").model_dump()
    insert_row(database_url, id=THEIRS, status=status, **contents)
    return (await queue.dead()).id


async def test_it_is_listed_and_counted_as_another_programs(queue: Queue, beside: str, status: str) -> None:
    repository = queue.repository
    assert {n.id for n in (await repository.list(ALL)).items} == {beside, THEIRS}
    assert await repository.count(ALL) == 2
    counts = await repository.count_by_status()
    assert {status: count for status, count in counts.items() if count} == {
        NotificationStatus.DEAD: 1,
        NotificationStatus.OTHER: 1,
    }
    theirs = await repository.get(THEIRS)
    assert (theirs.status, theirs.foreign_status) == (NotificationStatus.OTHER, status)
    assert (await repository.get(beside)).foreign_status is None


@pytest.mark.parametrize(
    ("statuses", "found"),
    [
        ({"other"}, {THEIRS}),
        ({"other", "dead"}, {THEIRS, "the dead one"}),
        ({"dead"}, {"the dead one"}),
        ({"sent"}, set()),
    ],
)
async def test_it_is_found_by_a_status_that_stands_for_all_that_are_not_ours(
    queue: Queue, beside: str, statuses: set[NotificationStatus], found: set[str]
) -> None:
    wanted = NotificationFilter.model_validate({"statuses": statuses})
    items = (await queue.repository.list(wanted)).items
    assert {"the dead one" if n.id == beside else n.id for n in items} == found
    assert await queue.repository.count(wanted) == len(found)


async def test_it_is_found_by_its_own_name(queue: Queue, beside: str, status: str) -> None:
    wanted = NotificationFilter(stored_statuses=(status,))
    assert [n.id for n in (await queue.repository.list(wanted)).items] == [THEIRS]
    assert await queue.repository.count(NotificationFilter(stored_statuses=("no such",))) == 0


async def test_what_is_asked_of_it_alone_is_refused(queue: Queue, beside: str) -> None:
    for act in (queue.repository.requeue, queue.repository.mark_read):
        with pytest.raises(NotificationConflictError, match="is other"):
            await act(THEIRS)


async def test_nothing_done_to_many_changes_it(
    queue: Queue, beside: str, clock: SettableClock, database_url: str, status: str
) -> None:
    repository, ids = queue.repository, [THEIRS, beside]
    clock.advance(timedelta(days=1))
    one = BulkReport(changed=1, other_status=1)
    assert await repository.requeue_all(ids) == one
    assert await repository.mark_all_read(ids) == one
    assert await repository.purge_all(ids, statuses=tuple(NotificationStatus), created_until=clock()) == one
    assert rows(database_url, "SELECT id, status FROM notification_events") == [(THEIRS, status)]


async def test_what_is_due_is_delivered_past_it(queue: Queue, beside: str) -> None:
    due = await queue.pending()
    assert [claim.notification.id for claim in await queue.claim_due()] == [due.id]


async def test_its_idempotency_key_is_taken(queue: Queue, beside: str) -> None:
    with pytest.raises(IdempotencyConflictError) as refused:
        await queue.repository.accept(new_notification(idempotency_key="key-1"))
    assert refused.value.notification_id == THEIRS
