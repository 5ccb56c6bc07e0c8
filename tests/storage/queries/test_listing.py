import base64
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import InvalidCursorError
from storage.models import NotificationFilter, NotificationStatus
from storage.queries.listing import LARGEST_PAGE, page_query
from storage.repository import NotificationRepository
from tests.builders import NOON, Queue, SettableClock
from tests.storage.raw_sql import insert_row

ALL = NotificationFilter()


async def messages(repository: NotificationRepository, **conditions: object) -> list[str]:
    page = await repository.list(NotificationFilter.model_validate(conditions))
    return [notification.message for notification in page.items]


async def paged(
    repository: NotificationRepository,
    limit: int,
    wanted: NotificationFilter = ALL,
    *,
    oldest_first: bool = False,
) -> list[list[str]]:
    pages: list[list[str]] = []
    cursor: str | None = None
    while True:
        page = await repository.list(wanted, limit=limit, cursor=cursor, oldest_first=oldest_first)
        pages.append([notification.message for notification in page.items])
        if page.next_cursor is None:
            return pages
        cursor = page.next_cursor


async def test_the_newest_are_listed_first(queue: Queue, clock: SettableClock) -> None:
    for message in ("old", "middle", "new"):
        await queue.pending(message=message)
        clock.advance(timedelta(seconds=1))
    assert await messages(queue.repository) == ["new", "middle", "old"]


async def test_pages_have_no_gaps_or_repetitions(queue: Queue, clock: SettableClock) -> None:
    for number in range(5):
        await queue.pending(message=str(number))
        clock.advance(timedelta(seconds=1))
    assert await paged(queue.repository, 2) == [["4", "3"], ["2", "1"], ["0"]]
    assert await paged(queue.repository, 2, oldest_first=True) == [["0", "1"], ["2", "3"], ["4"]]
    later = NotificationFilter(created_from=NOON + timedelta(seconds=1))
    assert await paged(queue.repository, 3, later, oldest_first=True) == [["1", "2", "3"], ["4"]]


async def test_a_full_last_page_has_no_cursor(queue: Queue) -> None:
    await queue.pending()
    await queue.pending()
    page = await queue.repository.list(ALL, limit=2)
    assert (len(page.items), page.next_cursor) == (2, None)


async def test_notifications_accepted_at_the_same_moment_can_be_paged_through(queue: Queue) -> None:
    accepted = {(await queue.pending(message=str(number))).message for number in range(7)}
    pages = await paged(queue.repository, 3)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert {message for page in pages for message in page} == accepted


async def test_new_notifications_do_not_shift_later_pages(queue: Queue, clock: SettableClock) -> None:
    for number in range(4):
        await queue.pending(message=str(number))
        clock.advance(timedelta(seconds=1))
    first = await queue.repository.list(ALL, limit=2)
    await queue.pending(message="arrived meanwhile")
    second = await queue.repository.list(ALL, limit=2, cursor=first.next_cursor)
    assert [n.message for n in first.items + second.items] == ["3", "2", "1", "0"]


async def test_an_empty_queue_has_one_empty_page(repository: NotificationRepository) -> None:
    page = await repository.list(ALL)
    assert (page.items, page.next_cursor) == ((), None)


@pytest.mark.parametrize("limit", [0, -1, LARGEST_PAGE + 1])
async def test_a_limit_out_of_range_is_refused(repository: NotificationRepository, limit: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 500"):
        await repository.list(ALL, limit=limit)


def cursor_of(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "%%%",
        "ü" * 9,
        cursor_of("null"),
        cursor_of("{}"),
        cursor_of("[1,2]"),
        cursor_of('["2026-01-01T00:00:00","no time zone"]'),
        cursor_of('["0001-01-01T00:00:00+23:00","before all time"]'),
        cursor_of('["2026-01-01T00:00:00.000000+00:00",1]'),
        cursor_of('["2026-01-01T00:00:00.000000+00:00","\\ud800"]'),
        cursor_of("[" * 100_000),
    ],
)
async def test_an_invalid_cursor_is_refused(repository: NotificationRepository, cursor: str) -> None:
    with pytest.raises(InvalidCursorError) as refused:
        await repository.list(ALL, cursor=cursor)
    assert refused.value.cursor == cursor


@given(st.text(max_size=60))
def test_random_text_is_not_a_valid_cursor(text: str) -> None:
    with pytest.raises(InvalidCursorError):
        page_query(ALL, 1, text)


async def test_filters_by_one_status(queue: Queue) -> None:
    await queue.dead(message="dead")
    await queue.sent(message="sent")
    assert await messages(queue.repository, statuses=(NotificationStatus.DEAD,)) == ["dead"]


async def test_filters_by_several_statuses(queue: Queue, clock: SettableClock) -> None:
    for make in (queue.dead, queue.sent, queue.failed, queue.read, queue.pending):
        await make(message=make.__name__)
        clock.advance(timedelta(seconds=1))
    found = await messages(queue.repository, statuses=("dead", "failed", "pending"))
    assert found == ["pending", "failed", "dead"]


@pytest.mark.parametrize("field", ["channel", "type", "certificate_id", "recipient"])
async def test_filters_by_an_exact_value(queue: Queue, field: str) -> None:
    await queue.pending(**{field: "wanted"}, message="wanted")
    await queue.pending(**{field: "Wanted"}, message="other case")
    await queue.pending(**{field: "wanted-2"}, message="longer")
    assert await messages(queue.repository, **{field: "wanted"}) == ["wanted"]


async def test_every_condition_must_hold(queue: Queue) -> None:
    await queue.dead(message="both", channel="Slack")
    await queue.dead(message="status only", channel="Teams")
    await queue.pending(message="channel only", channel="Slack")
    found = await messages(queue.repository, statuses=(NotificationStatus.DEAD,), channel="Slack")
    assert found == ["both"]


async def test_a_period_includes_its_beginning_and_excludes_its_end(
    queue: Queue, clock: SettableClock
) -> None:
    for number in range(4):
        await queue.pending(message=str(number))
        clock.advance(timedelta(minutes=1))
    period = {"created_from": NOON + timedelta(minutes=1), "created_until": NOON + timedelta(minutes=3)}
    assert await messages(queue.repository, **period) == ["2", "1"]


async def test_a_period_can_be_in_any_time_zone(queue: Queue) -> None:
    await queue.pending(message="at noon in London")
    in_tokyo = "2026-01-01T21:00:00+09:00"
    assert await messages(queue.repository, created_from=in_tokyo) == ["at noon in London"]
    assert await messages(queue.repository, created_until=in_tokyo) == []


@pytest.mark.parametrize("text", ["%", "_", "\\", "100%", "a_b", "C:\\certs", "/"])
async def test_text_search_is_literal(queue: Queue, text: str) -> None:
    await queue.pending(message=f"before {text} after")
    await queue.pending(message="nothing of the kind: axb 1000")
    assert await messages(queue.repository, text=text) == [f"before {text} after"]


async def test_text_search_ignores_case(queue: Queue) -> None:
    await queue.pending(message="API.Example.COM expires")
    assert await messages(queue.repository, text="api.example.com") == ["API.Example.COM expires"]


async def test_text_search_includes_errors(queue: Queue) -> None:
    await queue.dead("HTTP 410 from the receiver", message="dead")
    await queue.skipped("no notifier configured for channel X", message="skipped")
    await queue.pending(message="pending")
    assert await messages(queue.repository, text="410") == ["dead"]
    assert await messages(queue.repository, text="no notifier") == ["skipped"]


async def test_rows_of_other_programs_are_shown_unchanged(queue: Queue, database_url: str) -> None:
    insert_row(database_url, id="3e1f 'quoted' ⚠", type="AgentOffline", channel="Carrier pigeon")
    (shown,) = (await queue.repository.list(NotificationFilter(type="AgentOffline"))).items
    assert (shown.id, shown.channel) == ("3e1f 'quoted' ⚠", "Carrier pigeon")
    assert await queue.repository.get("3e1f 'quoted' ⚠") == shown


async def test_ids_of_other_programs_can_be_paged_through(queue: Queue, database_url: str) -> None:
    ids = sorted(["", "1", "NOTIF", "notif-", "zz", '"];--', "ключ", str(uuid4())])
    for foreign in ids:
        insert_row(database_url, id=foreign, message=foreign)
    pages = await paged(queue.repository, 3)
    assert [message for page in pages for message in page] == sorted(ids, key=str.encode, reverse=True)
