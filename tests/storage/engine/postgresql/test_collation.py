"""Databases with a linguistic collation, as certctl's may have: `é` sorts beside `e`, and `A` beside `a`.
Lists, pages and names must not depend on it."""

import asyncio
from collections.abc import Iterator

import pytest

from storage.models import NotificationFilter
from tests import postgresql
from tests.builders import Queue
from tests.postgresql import Server
from tests.storage.raw_sql import insert_row

pytestmark = pytest.mark.postgresql

IDS = (
    "a",
    "A",
    "B",
    "b-1",
    "B1",
    "b",
    "notif-1",
    "NOTIF-1",
    "notif1",
    "notif-é",
    "notif-e\u0301",
    "",
    "ž",
    "z",
)


@pytest.fixture(scope="module")
def collated_url(postgresql_server: Server) -> Iterator[str]:
    options = "LOCALE_PROVIDER icu ICU_LOCALE 'en-u-ka-shifted'"
    url = asyncio.run(postgresql.create_database(postgresql_server, "template0", options))
    yield url
    asyncio.run(postgresql.drop_database(postgresql_server, url))


@pytest.fixture
def database_url(collated_url: str) -> Iterator[str]:
    yield collated_url
    asyncio.run(postgresql.execute(collated_url, "DELETE FROM notification_events"))


async def test_the_database_has_a_linguistic_collation(queue: Queue, database_url: str) -> None:
    for channel in ("b", "B", "a"):
        insert_row(database_url, id=channel, channel=channel)
    assert await queue.repository.channels_in_use() == ("a", "b", "B")


async def test_pages_have_no_gaps_or_repetitions(queue: Queue, database_url: str) -> None:
    for foreign in IDS:
        insert_row(database_url, id=foreign)
    seen: list[str] = []
    cursor = None
    while len(seen) < 2 * len(IDS):
        page = await queue.repository.list(NotificationFilter(), limit=1, cursor=cursor)
        seen += [n.id for n in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(IDS)
    ids: list[str] = []
    after = None
    while True:
        found = await queue.repository.matching_ids(NotificationFilter(), limit=3, after=after)
        ids += found.ids
        after = found.next
        if after is None:
            break
    assert ids == seen[::-1]


async def test_an_id_prefix_matches_exactly(queue: Queue, database_url: str) -> None:
    for foreign in IDS:
        insert_row(database_url, id=foreign)
    for prefix in ("b", "B", "notif-", "notif", "notif-e", "NOTIF", "", "ž", "a"):
        expected = {foreign for foreign in IDS if foreign.startswith(prefix)}
        assert set(await queue.repository.ids_beginning(prefix, 100)) == expected


async def test_channels_with_similar_names_are_distinct(queue: Queue, database_url: str) -> None:
    channels = ("slack", "Slack", "SLACK", "s-lack", "slâck", "sla\u0302ck", "", "-")
    for number, channel in enumerate(channels):
        insert_row(database_url, id=f"pending {number}", channel=channel)
        insert_row(database_url, id=f"failed {number}", channel=channel, status="failed")
    assert set(await queue.repository.channels_in_use()) == set(channels)
    claims = await queue.claim_due()
    assert len(claims) == 2 * len(channels)


async def test_our_ids_sort_by_time_of_acceptance(queue: Queue) -> None:
    made = [(await queue.pending()).id for _ in range(30)]
    assert await queue.repository.ids_beginning("notif-", 30) == tuple(reversed(made))
    page = await queue.repository.list(NotificationFilter(), limit=30)
    assert [n.id for n in page.items] == made[::-1]
