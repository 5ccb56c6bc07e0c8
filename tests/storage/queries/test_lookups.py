"""Completion of ids and names, and suggestions for mistyped ids."""

from pathlib import Path

import pytest

from storage.queries.lookups import MAX_NAMES
from tests.builders import Queue
from tests.storage.raw_sql import connected


async def test_ids_are_found_by_prefix(queue: Queue) -> None:
    made = [(await queue.pending()).id for _ in range(3)]
    assert await queue.repository.ids_beginning("notif-", 2) == tuple(sorted(made, reverse=True)[:2])
    assert await queue.repository.ids_beginning(made[0], 10) == (made[0],)
    assert await queue.repository.ids_beginning("nothing", 10) == ()


@pytest.mark.parametrize("character", ["%", "_", "'", "\\"])
async def test_wildcards_in_a_prefix_are_literal(queue: Queue, character: str) -> None:
    await queue.pending()
    assert await queue.repository.ids_beginning(character, 10) == ()


async def test_a_mistyped_id_finds_the_intended_one(queue: Queue) -> None:
    intended, *_ = [(await queue.pending()).id for _ in range(3)]
    for mistyped in (
        f"{intended[:-1]}?",
        intended[:-4],
        f"{intended[:20]}?{intended[21:]}",
        f"notification-{intended[6:]}",
    ):
        assert intended in await queue.repository.similar_ids(mistyped)


async def test_among_many_ids_one_is_found_by_its_beginning_or_end(queue: Queue, database_path: Path) -> None:
    intended = "notif-0190-5000-77777777"
    with connected(database_path) as other:
        other.execute("BEGIN")
        other.executemany(
            "INSERT INTO notification_events (id, type, channel, recipient, message, created_at)"
            " VALUES (?, 'Revocation', 'Slack', '', 'm', '2026')",
            [(f"notif-0190-{number:04}-{number * 7919:08}",) for number in range(10_000) if number != 5000]
            + [(intended,)],
        )
        other.execute("COMMIT")
    for mistyped in ("notif-0190-9000-77777777", "notif-0190-5000-77777?", "notif-0190-5000"):
        found = await queue.repository.similar_ids(mistyped)
        assert intended in found
        assert len(found) <= 200


@pytest.mark.parametrize("given", ["", "%", "_", "\U0010ffff", "n" * 10_000])
async def test_any_text_has_some_similar_ids(queue: Queue, given: str) -> None:
    made = {(await queue.pending()).id for _ in range(3)}
    assert set(await queue.repository.similar_ids(given)) == made


async def test_names_in_use_are_unique_and_sorted(queue: Queue) -> None:
    for channel, kind in (("Slack", "Revocation"), ("Email", "Revocation"), ("Slack", "RenewalFailure")):
        await queue.pending(channel=channel, type=kind)
    assert await queue.repository.channels_in_use() == ("Email", "Slack")
    assert await queue.repository.types_in_use() == ("RenewalFailure", "Revocation")


async def test_the_number_of_names_is_limited(queue: Queue) -> None:
    for number in range(MAX_NAMES + 1):
        await queue.pending(channel=f"channel-{number}")
    assert len(await queue.repository.channels_in_use()) == MAX_NAMES


async def test_nothing_is_found_in_an_empty_queue(queue: Queue) -> None:
    assert await queue.repository.channels_in_use() == ()
    assert await queue.repository.similar_ids("notif-1") == ()
