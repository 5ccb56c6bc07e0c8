"""Every hot statement finds its rows through its index, on a table of a million rows.

The plans are those of the statements as they ran: a predicate that is bound where it should be literal
loses its partial index, and the test.
"""

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from storage.models import NotificationFilter, NotificationStatus
from tests.builders import NOON, TOOK, WAIT, Queue, new_notification
from tests.storage.million import ROWS, fill
from tests.storage.plans import Step, instructions, plan, recorded

Operation = Callable[[Queue], Awaitable[object]]

KNOWN = new_notification(
    idempotency_key="key-00000100",
    type="RenewalSuccess",
    channel="Email",
    recipient="team-100",
    message="m",
)
DEAD = NotificationFilter(statuses=(NotificationStatus.DEAD,))
DEAD_IN_SLACK = NotificationFilter(statuses=(NotificationStatus.DEAD,), channel="Slack")
OF_A_CERTIFICATE = NotificationFilter(
    statuses=(NotificationStatus.DEAD,), channel="Slack", certificate_id="mc-0001"
)
NAMED = NotificationFilter(
    ids=tuple(f"notif-{number:08}" for number in range(5, 500_005, 1000)),
    statuses=(NotificationStatus.SENT, NotificationStatus.DEAD),
    channel="Slack",
    created_until=NOON,
)
DUE = {"events_pending", "events_failed", "events_lease"}


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("million") / "notifications.db"
    fill(path)
    yield path
    path.unlink()


@pytest.fixture
def database_path(million: Path) -> Path:
    return million


async def steps(queue: Queue, database_path: Path, operation: Operation) -> list[Step]:
    with recorded() as statements:
        await operation(queue)
    assert statements
    return plan(database_path, statements)


async def claim(queue: Queue) -> None:
    assert len(await queue.claim_due(slots=20, room=lambda _channel: 10)) == 20


async def claim_suspects(queue: Queue) -> None:
    await queue.claim_due(slots=1, suspects=True)


async def claim_after_leases_ended(queue: Queue) -> None:
    await queue.claim_due(slots=1, lease=timedelta(0))
    await queue.claim_due(slots=1)


def outcome(record: str, *arguments: object) -> Operation:
    async def operation(queue: Queue) -> None:
        (claim,) = await queue.claim_due(slots=1)
        assert await getattr(queue.repository, record)(claim, *arguments)

    return operation


def transition(name: str, notification_id: str) -> Operation:
    return lambda queue: getattr(queue.repository, name)(notification_id)


def of_many(name: str, **arguments: object) -> Operation:
    ids = [f"notif-{number:08}" for number in range(1005, 1025)]
    return lambda queue: getattr(queue.repository, name)(ids, **arguments)


CHANGES: dict[str, tuple[Operation, set[str]]] = {
    "accept": (lambda queue: queue.pending(), set()),
    "accept a known key": (
        lambda queue: queue.repository.accept(KNOWN),
        {"events_idempotency_key"},
    ),
    "claim": (claim, DUE | {"primary key"}),
    "claim suspects": (claim_suspects, DUE),
    "claim after leases ended": (claim_after_leases_ended, DUE | {"primary key"}),
    "sent": (outcome("record_sent", TOOK), DUE | {"primary key"}),
    "failed": (outcome("record_failed_attempt", TOOK, "HTTP 503", WAIT), DUE | {"primary key"}),
    "dead": (outcome("mark_as_dead", TOOK, "HTTP 410"), DUE | {"primary key"}),
    "release": (outcome("release"), DUE | {"primary key"}),
    "requeue": (transition("requeue", "notif-00000007"), {"events_lease", "primary key"}),
    "mark read": (transition("mark_read", "notif-00000008"), {"events_lease", "primary key"}),
    "requeue many": (of_many("requeue_all"), {"events_lease", "primary key"}),
    "mark many read": (of_many("mark_all_read"), {"events_lease", "primary key"}),
    "purge": (
        of_many("purge_all", statuses=[NotificationStatus.SENT], created_until=NOON),
        {"events_lease", "primary key"},
    ),
}
QUESTIONS: dict[str, tuple[Operation, set[str]]] = {
    "one": (lambda queue: queue.repository.get("notif-00000009"), {"primary key"}),
    "its attempts": (lambda queue: queue.repository.attempts("notif-00000009"), {"primary key"}),
    "its audit": (
        lambda queue: queue.repository.audit("notif-00000009", limit=10),
        {"audit_notification"},
    ),
    "next due": (lambda queue: queue.repository.next_due_at(), {"events_failed", "events_lease"}),
    "channels' records": (
        lambda queue: queue.repository.channel_records(timedelta(days=1)),
        {"attempts_recent"},
    ),
    "deliveries": (
        lambda queue: queue.repository.delivery_figures(NOON - timedelta(days=7), NOON),
        {"attempts_recent", "primary key"},
    ),
    "deliveries over time": (
        lambda queue: queue.repository.deliveries_over_time(
            NOON - timedelta(days=7), NOON, beginning=NOON - timedelta(days=7), step=timedelta(days=1)
        ),
        {"attempts_recent"},
    ),
    "dead letters counted": (lambda queue: queue.repository.count(DEAD), {"events_newest_by_status"}),
    "dead letters of a channel counted": (
        lambda queue: queue.repository.count(DEAD_IN_SLACK),
        {"events_newest_by_status"},
    ),
    "a channel counted": (
        lambda queue: queue.repository.count(NotificationFilter(channel="Slack")),
        {"events_newest_by_channel", "events_newest_by_status"},
    ),
    "dead letters broken down": (
        lambda queue: queue.repository.breakdown(DEAD),
        {"events_newest_by_status"},
    ),
    "ids that were named": (
        lambda queue: queue.repository.matching_ids(NAMED, limit=500),
        {"primary key"},
    ),
    "a list of what was named": (lambda queue: queue.repository.list(NAMED), {"primary key"}),
    "shares of what was named": (lambda queue: queue.repository.breakdown(NAMED), {"primary key"}),
    "dead letters of a certificate counted": (
        lambda queue: queue.repository.count(OF_A_CERTIFICATE),
        {"events_newest_by_certificate"},
    ),
    "ids of dead letters": (
        lambda queue: queue.repository.matching_ids(DEAD, limit=500),
        {"events_newest_by_status"},
    ),
    "failures": (
        lambda queue: queue.repository.failure_groups(NotificationFilter(), limit=100),
        {"events_newest_by_status", "primary key"},
    ),
    "failures of a channel": (
        lambda queue: queue.repository.failure_groups(NotificationFilter(channel="Slack"), limit=100),
        {"events_newest_by_status", "primary key"},
    ),
    "number of attempts": (
        lambda queue: queue.repository.count_attempts("notif-00000009"),
        {"primary key"},
    ),
    "ids that begin": (lambda queue: queue.repository.ids_beginning("notif-0000", 100), {"primary key"}),
}

FILTERS: dict[str, tuple[dict[str, object], str]] = {
    "everything": ({}, "newest"),
    "status": ({"statuses": ["dead"]}, "newest_by_status"),
    "channel": ({"channel": "Slack"}, "newest_by_channel"),
    "type": ({"type": "Revocation"}, "newest_by_type"),
    "certificate": ({"certificate_id": "mc-0001"}, "newest_by_certificate"),
    "recipient": ({"recipient": "team-001"}, "newest_by_recipient"),
    "from": ({"created_from": NOON - timedelta(days=30)}, "newest"),
    "until": ({"created_until": NOON - timedelta(days=30)}, "newest"),
    "period": (
        {"created_from": NOON - timedelta(days=90), "created_until": NOON - timedelta(days=30)},
        "newest",
    ),
    "dead letters of a channel": ({"statuses": ["dead"], "channel": "Slack"}, "newest_by_status"),
    "dead letters of a type": ({"statuses": ["dead"], "type": "Revocation"}, "newest_by_status"),
    "dead letters of a recipient": ({"statuses": ["dead"], "recipient": "team-005"}, "newest_by_status"),
    "what was sent over a channel": ({"statuses": ["sent"], "channel": "Slack"}, "newest_by_channel"),
    "status in a period": (
        {"statuses": ["dead"], "created_until": NOON - timedelta(days=30)},
        "newest_by_status",
    ),
}


@pytest.mark.parametrize("name", [*CHANGES, *QUESTIONS])
async def test_rows_are_found_through_the_index_made_for_it(
    queue: Queue, database_path: Path, name: str
) -> None:
    operation, indexes = (CHANGES | QUESTIONS)[name]
    reading = [step for step in await steps(queue, database_path, operation) if step.reads_a_table]
    assert [step.detail for step in reading if not step.searches] == []
    assert {step.index for step in reading} == indexes


@pytest.mark.parametrize("name", FILTERS)
async def test_a_list_is_read_in_its_order_from_the_index_made_for_it(
    queue: Queue, database_path: Path, name: str
) -> None:
    conditions, index = FILTERS[name]
    wanted = NotificationFilter.model_validate(conditions)
    first = await queue.repository.list(wanted, limit=20)
    assert first.next_cursor is not None
    with recorded() as statements:
        await queue.repository.list(wanted, limit=20)
        await queue.repository.list(wanted, limit=20, cursor=first.next_cursor)
    begun, continued = plan(database_path, statements)
    assert begun.index == continued.index == f"events_{index}"
    assert begun.searches or name == "everything"
    assert continued.searches


@pytest.mark.parametrize("name", FILTERS)
async def test_a_page_in_the_middle_costs_no_more_than_the_first(
    queue: Queue, database_path: Path, name: str
) -> None:
    wanted = NotificationFilter.model_validate(FILTERS[name][0])
    cursor = None
    for _ in range(3):
        page = await queue.repository.list(wanted, limit=60, cursor=cursor)
        cursor = page.next_cursor or cursor
    with recorded() as statements:
        await queue.repository.list(wanted, limit=60, cursor=cursor)
    assert instructions(database_path, statements[0]) < 20


async def test_a_list_of_several_statuses_reads_no_more_of_each_than_a_page(
    queue: Queue, database_path: Path
) -> None:
    wanted = NotificationFilter.model_validate({"statuses": ["sent", "dead", "read"]})
    with recorded() as statements:
        page = await queue.repository.list(wanted, limit=50)
        await queue.repository.list(wanted, limit=50, cursor=page.next_cursor)
    assert max(instructions(database_path, statement) for statement in statements) < 20


async def test_attempts_are_counted_from_the_index_alone_and_looked_back_from_by_key(
    queue: Queue, database_path: Path
) -> None:
    with recorded() as statements:
        await queue.repository.delivery_figures(NOON - timedelta(days=7), NOON)
    outcomes, retries, _times = statements
    counted, unanswered = [
        step for step in plan(database_path, [outcomes]) if "attempts_recent" in step.detail
    ]
    assert "COVERING INDEX" in counted.detail
    assert "COVERING INDEX" not in unanswered.detail
    later, earlier = [
        step for step in plan(database_path, [retries]) if step.searches or "SCAN" in step.detail
    ]
    assert "COVERING INDEX" in later.detail
    assert earlier.detail.startswith("SEARCH earlier USING PRIMARY KEY")


async def test_counts_read_nothing_but_indexes(queue: Queue, database_path: Path) -> None:
    read = await steps(queue, database_path, lambda queue: queue.repository.queue_counts())
    assert all("COVERING INDEX" in step.detail for step in read if step.reads_a_table)
    scanned = [step.index for step in read if step.reads_a_table and not step.searches]
    assert scanned == ["events_newest_by_status"]
    assert {step.index for step in read if step.reads_a_table and step.searches} == {
        "events_undelivered",
        "events_newest_by_status",
        "events_failed",
    }


@pytest.mark.parametrize(
    ("names", "index"), [("channels_in_use", "newest_by_channel"), ("types_in_use", "newest_by_type")]
)
async def test_names_in_use_are_sought_and_not_counted(
    queue: Queue, database_path: Path, names: str, index: str
) -> None:
    read = await steps(queue, database_path, lambda queue: getattr(queue.repository, names)())
    assert {step.index for step in read if step.reads_a_table} == {f"events_{index}"}
    assert all(step.searches for step in read if step.reads_a_table)


async def test_the_table_is_as_large_as_it_should_be(queue: Queue) -> None:
    assert sum((await queue.repository.count_by_status()).values()) >= ROWS


async def test_a_count_looks_at_no_row_for_its_status(queue: Queue, database_path: Path) -> None:
    read = await steps(queue, database_path, lambda queue: queue.repository.count(NotificationFilter()))
    assert all("COVERING INDEX" in step.detail for step in read if step.reads_a_table)


async def test_ids_that_end_alike_are_looked_for_in_an_index_alone(queue: Queue, database_path: Path) -> None:
    read = await steps(queue, database_path, lambda queue: queue.repository.similar_ids("notif-0043x111"))
    ending, *neighbours = [step for step in read if step.reads_a_table]
    assert "COVERING INDEX" in ending.detail
    assert {(step.index, step.searches) for step in neighbours} == {("primary key", True)}
