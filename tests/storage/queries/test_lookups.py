"""What somebody began to write, or wrote with a slip, is found among what there is."""

from pathlib import Path

import pytest

from storage.queries.lookups import MOST_NAMES
from tests.builders import Queue
from tests.storage.foreign import connected


async def test_ids_are_found_by_how_they_begin(queue: Queue) -> None:
    made = [(await queue.pending()).id for _ in range(3)]
    assert await queue.repository.ids_beginning("notif-", 2) == tuple(sorted(made, reverse=True)[:2])
    assert await queue.repository.ids_beginning(made[0], 10) == (made[0],)
    assert await queue.repository.ids_beginning("nothing", 10) == ()


@pytest.mark.parametrize("sign", ["%", "_", "'", "\\"])
async def test_signs_mean_themselves(queue: Queue, sign: str) -> None:
    await queue.pending()
    assert await queue.repository.ids_beginning(sign, 10) == ()


async def test_an_id_with_a_slip_finds_the_one_that_was_meant(queue: Queue) -> None:
    meant, *_ = [(await queue.pending()).id for _ in range(3)]
    for slip in (f"{meant[:-1]}?", meant[:-4], f"{meant[:20]}?{meant[21:]}", f"notification-{meant[6:]}"):
        assert meant in await queue.repository.similar_ids(slip)


async def test_among_very_many_ids_one_is_found_by_either_end(queue: Queue, database_path: Path) -> None:
    meant = "notif-0190-5000-77777777"
    with connected(database_path) as other:
        other.execute("BEGIN")
        other.executemany(
            "INSERT INTO notification_events (id, type, channel, recipient, message, created_at)"
            " VALUES (?, 'Revocation', 'Slack', '', 'm', '2026')",
            [(f"notif-0190-{number:04}-{number * 7919:08}",) for number in range(10_000) if number != 5000]
            + [(meant,)],
        )
        other.execute("COMMIT")
    for slip in ("notif-0190-9000-77777777", "notif-0190-5000-77777?", "notif-0190-5000"):
        found = await queue.repository.similar_ids(slip)
        assert meant in found
        assert len(found) <= 200


@pytest.mark.parametrize("given", ["", "%", "_", "\U0010ffff", "n" * 10_000])
async def test_whatever_is_given_some_ids_may_be_alike(queue: Queue, given: str) -> None:
    made = {(await queue.pending()).id for _ in range(3)}
    assert set(await queue.repository.similar_ids(given)) == made


async def test_names_in_use_come_once_and_in_order(queue: Queue) -> None:
    for channel, kind in (("Slack", "Revocation"), ("Email", "Revocation"), ("Slack", "RenewalFailure")):
        await queue.pending(channel=channel, type=kind)
    assert await queue.repository.channels_in_use() == ("Email", "Slack")
    assert await queue.repository.types_in_use() == ("RenewalFailure", "Revocation")


async def test_of_names_without_end_some_are_found(queue: Queue) -> None:
    for number in range(MOST_NAMES + 1):
        await queue.pending(channel=f"channel-{number}")
    assert len(await queue.repository.channels_in_use()) == MOST_NAMES


async def test_nothing_is_found_in_an_empty_queue(queue: Queue) -> None:
    assert await queue.repository.channels_in_use() == ()
    assert await queue.repository.similar_ids("notif-1") == ()
