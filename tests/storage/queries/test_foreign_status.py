"""A row that another program put in a status of its own is in nobody's way, and stays as it is."""

from datetime import timedelta

import pytest

from storage.errors import IdempotencyConflictError, NotificationNotFoundError
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


async def test_it_is_left_out_of_lists_and_counts(queue: Queue, beside: str) -> None:
    repository = queue.repository
    assert [n.id for n in (await repository.list(ALL)).items] == [beside]
    assert (await repository.matching_ids(ALL, limit=10)).ids == (beside,)
    assert [share.count for share in await repository.breakdown(ALL)] == [1]
    assert await repository.count(ALL) == 1
    assert await repository.count(NotificationFilter(ids=(THEIRS,))) == 0
    assert sum((await repository.count_by_status()).values()) == 1


async def test_pages_pass_over_it(queue: Queue, beside: str, clock: SettableClock) -> None:
    clock.advance(timedelta(seconds=1))
    newer = await queue.pending()
    first = await queue.repository.list(ALL, limit=1)
    second = await queue.repository.list(ALL, limit=1, cursor=first.next_cursor)
    assert [n.id for n in first.items + second.items] == [newer.id, beside]
    assert second.next_cursor is None


async def test_there_is_no_such_notification(queue: Queue, beside: str) -> None:
    for act in (queue.repository.get, queue.repository.requeue, queue.repository.mark_read):
        with pytest.raises(NotificationNotFoundError):
            await act(THEIRS)


async def test_nothing_done_to_many_changes_it(
    queue: Queue, beside: str, clock: SettableClock, database_url: str, status: str
) -> None:
    repository, ids = queue.repository, [THEIRS, beside]
    clock.advance(timedelta(days=1))
    one = BulkReport(changed=1, missing=1)
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
