"""What no database can hold is not found there, and fails nobody: neither who asks nor who shares a batch."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from storage.errors import NotificationNotFoundError
from storage.models import BulkReport, Notification, NotificationFilter, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import NOON, Queue

Question = Callable[[NotificationRepository, str], Awaitable[object]]

MISSING = BulkReport(missing=1)
ODD = ("\0", "{known}\0x", "\ud800", "{known}\udfff")
"""Also such as begin like what there is."""


def listed(**conditions: object) -> NotificationFilter:
    return NotificationFilter.model_validate(conditions)


NOTHING: dict[str, tuple[Question, object]] = {
    "attempts": (lambda repository, odd: repository.attempts(odd), ()),
    "number of attempts": (lambda repository, odd: repository.count_attempts(odd), 0),
    "audit": (lambda repository, odd: repository.audit(odd, limit=5), ()),
    "ids": (lambda repository, odd: repository.ids_beginning(odd, 5), ()),
    "counted": (lambda repository, odd: repository.count(listed(ids=(odd,))), 0),
    "requeued": (lambda repository, odd: repository.requeue_all([odd]), MISSING),
    "settled": (lambda repository, odd: repository.mark_all_read([odd]), MISSING),
    "purged": (
        lambda repository, odd: repository.purge_all(
            [odd], statuses=list(NotificationStatus), created_until=NOON + timedelta(days=1)
        ),
        MISSING,
    ),
}


@pytest.fixture
async def known(queue: Queue) -> Notification:
    return await queue.dead(channel="Slack", certificate_id="mc-1")


@pytest.mark.parametrize("question", NOTHING)
async def test_nothing_is_called_so(
    repository: NotificationRepository, known: Notification, question: str
) -> None:
    ask, nothing = NOTHING[question]
    for odd in ODD:
        assert await ask(repository, odd.format(known=known.id)) == nothing
    assert await repository.get(known.id) == known


@pytest.mark.parametrize("act", ["get", "requeue", "mark_read"])
async def test_it_is_not_found(repository: NotificationRepository, known: Notification, act: str) -> None:
    for odd in ODD:
        with pytest.raises(NotificationNotFoundError):
            await getattr(repository, act)(odd.format(known=known.id))
    assert await repository.get(known.id) == known


async def test_nothing_matches_it(repository: NotificationRepository, known: Notification) -> None:
    for field in ("channel", "type", "certificate_id", "recipient", "text"):
        for value in ("\0", f"{known.channel}\0"):
            assert (await repository.list(listed(**{field: value}))).items == ()


async def test_who_is_called_so_is_known_by_what_can_be_kept(
    repository: NotificationRepository, known: Notification
) -> None:
    for odd in ODD:
        await repository.mark_read(known.id, actor=odd)
    assert all("\ufffd" in entry.actor for entry in await repository.audit(known.id, limit=len(ODD)))


@pytest.mark.parametrize(
    "period",
    [
        {"created_from": "0001-01-01T00:00:00+01:00"},
        {"created_until": "9999-12-31T23:59:59-01:00"},
    ],
)
async def test_a_period_may_begin_before_all_time_and_end_after_it(
    repository: NotificationRepository, known: Notification, period: dict[str, str]
) -> None:
    assert (await repository.list(listed(**period))).items == (known,)
