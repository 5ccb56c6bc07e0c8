"""Several processes act on the same rows at the same moment."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from subprocess import PIPE

import asyncpg
import pytest

from storage.channel_state import ChannelRules, Pause, Rate
from storage.database import Database
from storage.models import AttemptOutcome, NotificationFilter, NotificationStatus, Room
from storage.repository import NotificationRepository
from storage.sql.notify import DUE
from tests.builders import LEASE, TOOK, UNLIMITED, Queue, SettableClock, new_notification, request
from tests.processes import Program
from tests.storage.operations.claim_all import claim_all
from tests.storage.raw_sql import rows, run

CHANNELS = ("Slack", "Email", "Teams")
BLOCKED_SESSIONS = """
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
"""
SIDES = 4
ROWS = 120


@asynccontextmanager
async def opened(url: str, clock: SettableClock, number: int) -> AsyncIterator[list[NotificationRepository]]:
    """Repositories of the same database, as if opened by several processes."""
    async with AsyncExitStack() as stack:
        yield [
            NotificationRepository(await stack.enter_async_context(Database.open(url, clock=clock)))
            for _ in range(number)
        ]


async def fill(queue: Queue, number: int = ROWS) -> list[str]:
    made = await asyncio.gather(
        *(queue.pending(message=str(n), channel=CHANNELS[n % len(CHANNELS)]) for n in range(number))
    )
    return [notification.id for notification in made]


async def test_each_notification_is_claimed_exactly_once(
    queue: Queue, clock: SettableClock, database_url: str
) -> None:
    made = await fill(queue)
    async with opened(database_url, clock, SIDES) as sides:
        claimed = await asyncio.gather(*(claim_all(side, f"worker-{n}") for n, side in enumerate(sides)))
    assert Counter(id_ for ids in claimed for id_ in ids) == Counter(made)


@pytest.mark.postgresql
async def test_separate_processes_claim_each_notification_once(queue: Queue, database_url: str) -> None:
    made = await fill(queue)
    workers = [
        Program("tests.storage.operations.claim_all", database_url, f"worker-{n}", stdin=PIPE, stdout=PIPE)
        for n in range(3)
    ]
    for worker in workers:
        assert worker.stdout
        assert await asyncio.to_thread(worker.stdout.readline) == b"ready\n"
    for worker in workers:
        assert worker.stdin
        worker.stdin.close()
    claimed = [json.loads(await asyncio.to_thread(worker.stdout.read)) for worker in workers if worker.stdout]
    for worker in workers:
        worker.close()
    assert Counter(id_ for ids in claimed for id_ in ids) == Counter(made)


async def test_an_expired_lease_is_ended_once(queue: Queue, clock: SettableClock, database_url: str) -> None:
    made = await fill(queue)
    assert len(await queue.claim_due()) == len(made)
    clock.advance(LEASE)
    async with opened(database_url, clock, SIDES) as sides:
        await asyncio.gather(*(side.claim(request("another", LEASE, 0, UNLIMITED)) for side in sides))
    for notification_id in made:
        (attempt,) = await queue.repository.attempts(notification_id)
        assert (attempt.number, attempt.outcome) == (1, AttemptOutcome.ABANDONED)
        assert (await queue.repository.get(notification_id)).abandoned_count == 1


@pytest.mark.postgresql
async def test_ending_an_expired_lease_wakes_other_workers(
    queue: Queue, clock: SettableClock, database_url: str
) -> None:
    await queue.claimed()
    clock.advance(LEASE)
    woken = asyncio.Event()
    other = await asyncpg.connect(database_url)
    await other.add_listener(DUE, lambda *_: woken.set())
    assert await queue.claim_due(slots=0) == ()
    async with asyncio.timeout(20):
        await woken.wait()
    await other.close()


@pytest.mark.postgresql
async def test_rows_locked_by_another_claim_do_not_hold_up_the_rest(
    queue: Queue, clock: SettableClock, database_url: str
) -> None:
    """The other claim may have no room for them, and workers with room get no further wake-up."""
    for _ in range(3):
        await queue.pending(channel="Slack")
    clock.advance(timedelta(seconds=1))
    for _ in range(3):
        await queue.failed(channel="Email", wait=timedelta(0))
        await queue.pending(channel="Email")
    other = await asyncpg.connect(database_url)
    await other.execute("BEGIN")
    await other.execute("SELECT FROM notification_events WHERE channel = 'Slack' FOR UPDATE")
    claims = await queue.claim_due(slots=3)
    assert [claim.notification.channel for claim in claims] == ["Email"] * 3
    claims = await queue.claim_due(room=Room(2))
    assert [claim.notification.channel for claim in claims] == ["Email"] * 2
    await other.execute("COMMIT")
    await other.close()
    claims = await queue.claim_due()
    assert sorted(claim.notification.channel for claim in claims) == ["Email", *["Slack"] * 3]


@pytest.mark.postgresql
async def test_while_others_claim_in_one_channel_the_limits_of_the_others_hold(
    queue: Queue, clock: SettableClock, database_url: str
) -> None:
    for channel in CHANNELS:
        for _ in range(3):
            await queue.pending(channel=channel)
    pause = Pause(clock() + timedelta(hours=1), "maintenance", "kim")
    await queue.repository.pause_channel("Teams", pause, actor="kim")
    other = await asyncpg.connect(database_url)
    await other.execute("BEGIN")
    await other.execute("SELECT FROM notification_events WHERE channel = 'Email' LIMIT 1 FOR UPDATE")
    limited = {"Slack": ChannelRules(Rate(timedelta(seconds=1)))}
    claims = (await queue.repository.claim(request(rules=limited))).claims
    await other.execute("COMMIT")
    await other.close()
    assert Counter(claim.notification.channel for claim in claims) == {"Email": 2, "Slack": 1}


@pytest.mark.postgresql
async def test_bulk_actions_in_different_orders_do_not_deadlock(
    queue: Queue, clock: SettableClock, database_url: str
) -> None:
    made = await fill(queue)
    async with opened(database_url, clock, SIDES) as sides:

        async def act(side: NotificationRepository, ids: Sequence[str]) -> list[int]:
            reports = []
            for _ in range(5):
                reports.append(await side.mark_all_read(ids))
                reports.append(await side.requeue_all(ids))
                reports.append(await side.mark_all_read(ids[: ROWS // 2]))
            return [report.changed + report.other_status for report in reports]

        answers = await asyncio.gather(
            *(act(side, made if n % 2 else made[::-1]) for n, side in enumerate(sides))
        )
    assert answers == [[ROWS, ROWS, ROWS // 2] * 5] * SIDES


@pytest.mark.postgresql
async def test_a_purge_and_late_outcomes_of_the_same_rows_do_not_conflict(
    queue: Queue, clock: SettableClock, database_url: str
) -> None:
    made = await fill(queue)
    late = await queue.claim_due()
    clock.advance(LEASE)
    await queue.repository.mark_all_read(made)
    async with opened(database_url, clock, 3) as (one, two, purging):
        purge = purging.purge_all(made, statuses=[NotificationStatus.READ], created_until=clock())
        report, on_time = await asyncio.gather(
            purge,
            asyncio.gather(*(side.record_sent(claim, TOOK) for side in (one, two) for claim in late)),
        )
    assert not any(on_time)
    assert report.changed == ROWS
    assert rows(database_url, "SELECT count(*) FROM notification_attempts") == [(0,)]


async def test_a_key_sent_by_two_processes_at_once_is_accepted_once(
    clock: SettableClock, database_url: str
) -> None:
    keys = [f"key-{number}" for number in range(30)]
    async with opened(database_url, clock, 2) as sides:
        offers = [
            side.accept(new_notification(idempotency_key=key))
            for side, order in zip(sides, (keys, keys[::-1]), strict=True)
            for key in order
        ]
        answers = await asyncio.gather(*offers)
        page = await sides[0].list(NotificationFilter(), limit=100)
    accepted = {answer.notification.idempotency_key: answer.notification.id for answer in answers}
    assert all(accepted[a.notification.idempotency_key] == a.notification.id for a in answers)
    assert sum(answer.created for answer in answers) == len(page.items) == len(keys)


@pytest.mark.postgresql
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_an_accept_waits_for_an_uncommitted_one_with_the_same_key(
    repository: NotificationRepository, database_url: str, end: str
) -> None:
    new = new_notification(idempotency_key="key-1")
    other = await asyncpg.connect(database_url)
    await other.execute("BEGIN")
    await other.execute(
        "INSERT INTO notification_events"
        " (id, type, channel, recipient, message, status, created_at, idempotency_key)"
        " VALUES ('other', $1, $2, $3, $4, 'pending', now(), $5)",
        *(new.type, new.channel, new.recipient, new.message, new.idempotency_key),
    )
    accepting = asyncio.create_task(repository.accept(new))
    async with asyncio.timeout(20):
        while not await other.fetchval(BLOCKED_SESSIONS):  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
    await other.execute(end)
    await other.close()
    accepted = await accepting
    assert (accepted.created, accepted.notification.id == "other") == (end == "ROLLBACK", end == "COMMIT")


@pytest.mark.postgresql
async def test_a_key_is_free_if_its_notification_is_purged_during_the_accept(
    queue: Queue, database_url: str
) -> None:
    """A trigger simulates another process that purges it between two statements."""
    first = await queue.pending(idempotency_key="key-1")
    run(
        database_url,
        "CREATE FUNCTION purge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" DELETE FROM notification_events WHERE id = '{first.id}'; RETURN NULL; END $$",
    )
    run(
        database_url,
        "CREATE TRIGGER purge AFTER INSERT ON notification_events"
        " FOR EACH STATEMENT EXECUTE FUNCTION purge()",
    )
    again = await queue.repository.accept(new_notification(idempotency_key="key-1"))
    assert again.created
    assert (await queue.repository.get(again.notification.id)).idempotency_key == "key-1"


async def test_concurrent_requeues_of_the_same_rows_requeue_each_once(
    queue: Queue, clock: SettableClock, database_url: str
) -> None:
    made = [(await queue.dead(message=str(number))).id for number in range(20)]
    async with opened(database_url, clock, SIDES) as sides:
        reports = await asyncio.gather(*(side.requeue_all(made) for side in sides))
    assert sum(report.changed for report in reports) == len(made)
