"""A row with another program's status blocks nothing and is never changed."""

from datetime import timedelta

import pytest

from storage.errors import IdempotencyConflictError, NotificationConflictError
from storage.models import BulkReport, NotificationFilter, NotificationStatus
from tests.builders import Queue, SettableClock, new_notification
from tests.storage.raw_sql import insert_row, rows

ALL = NotificationFilter()
THEIRS = "theirs"


@pytest.fixture(params=["paused", "DEAD", ""])
def status(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def ours(queue: Queue, database_url: str, status: str) -> str:
    """The id of a dead notification next to one with an unknown status."""
    contents = new_notification(idempotency_key="key-1").model_dump()
    insert_row(database_url, id=THEIRS, status=status, **contents)
    return (await queue.dead()).id


async def test_an_unknown_status_is_listed_and_counted_as_other(queue: Queue, ours: str, status: str) -> None:
    repository = queue.repository
    assert {n.id for n in (await repository.list(ALL)).items} == {ours, THEIRS}
    assert await repository.count(ALL) == 2
    counts = await repository.count_by_status()
    assert {status: count for status, count in counts.items() if count} == {
        NotificationStatus.DEAD: 1,
        NotificationStatus.OTHER: 1,
    }
    theirs = await repository.get(THEIRS)
    assert (theirs.status, theirs.foreign_status) == (NotificationStatus.OTHER, status)
    assert (await repository.get(ours)).foreign_status is None


@pytest.mark.parametrize(
    ("statuses", "found"),
    [
        ({"other"}, {THEIRS}),
        ({"other", "dead"}, {THEIRS, "the dead one"}),
        ({"dead"}, {"the dead one"}),
        ({"sent"}, set()),
    ],
)
async def test_the_status_other_matches_every_unknown_status(
    queue: Queue, ours: str, statuses: set[NotificationStatus], found: set[str]
) -> None:
    wanted = NotificationFilter.model_validate({"statuses": statuses})
    items = (await queue.repository.list(wanted)).items
    assert {"the dead one" if n.id == ours else n.id for n in items} == found
    assert await queue.repository.count(wanted) == len(found)


async def test_an_unknown_status_can_be_filtered_by_name(queue: Queue, ours: str, status: str) -> None:
    wanted = NotificationFilter(stored_statuses=(status,))
    assert [n.id for n in (await queue.repository.list(wanted)).items] == [THEIRS]
    assert await queue.repository.count(NotificationFilter(stored_statuses=("no such",))) == 0


async def test_actions_on_a_row_with_an_unknown_status_are_refused(queue: Queue, ours: str) -> None:
    for act in (queue.repository.requeue, queue.repository.mark_read):
        with pytest.raises(NotificationConflictError, match="is other"):
            await act(THEIRS)


async def test_bulk_actions_leave_an_unknown_status_alone(
    queue: Queue, ours: str, clock: SettableClock, database_url: str, status: str
) -> None:
    repository, ids = queue.repository, [THEIRS, ours]
    clock.advance(timedelta(days=1))
    one = BulkReport(changed=1, other_status=1)
    assert await repository.requeue_all(ids) == one
    assert await repository.mark_all_read(ids) == one
    assert await repository.purge_all(ids, statuses=tuple(NotificationStatus), created_until=clock()) == one
    assert rows(database_url, "SELECT id, status FROM notification_events") == [(THEIRS, status)]


async def test_an_unknown_status_does_not_hold_up_deliveries(queue: Queue, ours: str) -> None:
    due = await queue.pending()
    assert [claim.notification.id for claim in await queue.claim_due()] == [due.id]


async def test_the_key_of_a_row_with_an_unknown_status_is_taken(queue: Queue, ours: str) -> None:
    with pytest.raises(IdempotencyConflictError) as refused:
        await queue.repository.accept(new_notification(idempotency_key="key-1"))
    assert refused.value.notification_id == THEIRS
