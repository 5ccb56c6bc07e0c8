"""Ids and names that no database can store match nothing, and make no query or batch fail."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from storage.errors import NotificationNotFoundError
from storage.models import BulkReport, Notification, NotificationFilter, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import NOON, Queue

Query = Callable[[NotificationRepository, str], Awaitable[object]]

MISSING = BulkReport(missing=1)
UNSTORABLE = ("\0", "{known}\0x", "\ud800", "{known}\udfff")
"""Some begin with an existing id."""


def listed(**conditions: object) -> NotificationFilter:
    return NotificationFilter.model_validate(conditions)


QUERIES: dict[str, tuple[Query, object]] = {
    "attempts": (lambda repository, unstorable: repository.attempts(unstorable), ()),
    "number of attempts": (lambda repository, unstorable: repository.count_attempts(unstorable), 0),
    "audit": (lambda repository, unstorable: repository.audit(unstorable, limit=5), ()),
    "ids": (lambda repository, unstorable: repository.ids_beginning(unstorable, 5), ()),
    "counted": (lambda repository, unstorable: repository.count(listed(ids=(unstorable,))), 0),
    "requeued": (lambda repository, unstorable: repository.requeue_all([unstorable]), MISSING),
    "settled": (lambda repository, unstorable: repository.mark_all_read([unstorable]), MISSING),
    "purged": (
        lambda repository, unstorable: repository.purge_all(
            [unstorable], statuses=list(NotificationStatus), created_until=NOON + timedelta(days=1)
        ),
        MISSING,
    ),
}


@pytest.fixture
async def known(queue: Queue) -> Notification:
    return await queue.dead(channel="Slack", certificate_id="mc-1")


@pytest.mark.parametrize("query", QUERIES)
async def test_queries_for_an_unstorable_id_find_nothing(
    repository: NotificationRepository, known: Notification, query: str
) -> None:
    run_query, nothing = QUERIES[query]
    for unstorable in UNSTORABLE:
        assert await run_query(repository, unstorable.format(known=known.id)) == nothing
    assert await repository.get(known.id) == known


@pytest.mark.parametrize("act", ["get", "requeue", "mark_read"])
async def test_an_unstorable_id_is_not_found(
    repository: NotificationRepository, known: Notification, act: str
) -> None:
    for unstorable in UNSTORABLE:
        with pytest.raises(NotificationNotFoundError):
            await getattr(repository, act)(unstorable.format(known=known.id))
    assert await repository.get(known.id) == known


async def test_filters_with_unstorable_text_match_nothing(
    repository: NotificationRepository, known: Notification
) -> None:
    for field in ("channel", "type", "certificate_id", "recipient", "text"):
        for value in ("\0", f"{known.channel}\0"):
            assert (await repository.list(listed(**{field: value}))).items == ()


async def test_an_unstorable_actor_is_recorded_with_replacement_characters(
    repository: NotificationRepository, known: Notification
) -> None:
    for unstorable in UNSTORABLE:
        await repository.mark_read(known.id, actor=unstorable)
    assert all("\ufffd" in entry.actor for entry in await repository.audit(known.id, limit=len(UNSTORABLE)))


@pytest.mark.parametrize(
    "period",
    [
        {"created_from": "0001-01-01T00:00:00+01:00"},
        {"created_until": "9999-12-31T23:59:59-01:00"},
    ],
)
async def test_a_period_can_exceed_the_range_of_dates(
    repository: NotificationRepository, known: Notification, period: dict[str, str]
) -> None:
    assert (await repository.list(listed(**period))).items == (known,)
