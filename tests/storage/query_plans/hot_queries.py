"""Frequent or interactive queries of the repository, and the indexes that each is to use."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

from storage.channel_state import LONGEST_CLOSURE, ChannelRules, Rate, ToldToWait
from storage.models import AuditAction, NotificationFilter, NotificationStatus, Retained, Room, Urgency
from storage.operations.channel_states import Report
from storage.operations.keep_figures import day_of
from storage.operations.retention import Expiry, RetentionRun
from tests.builders import CHANNELS, NOON, TOOK, WAIT, Queue, new_notification

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
DEAD_OF_A_TYPE = NotificationFilter(statuses=(NotificationStatus.DEAD,), type="Revocation")
OF_A_CERTIFICATE = NotificationFilter(
    statuses=(NotificationStatus.DEAD,), channel="Slack", certificate_id="mc-0001"
)
NAMED = NotificationFilter(
    ids=tuple(f"notif-{number:08}" for number in range(5, 500_005, 1000)),
    statuses=(NotificationStatus.SENT, NotificationStatus.DEAD),
    channel="Slack",
    created_until=NOON,
)
REQUEUEABLE = NAMED.model_copy(update={"statuses": (), "eligible_for": AuditAction.REQUEUE})
UNDELIVERED = NotificationFilter(statuses=(NotificationStatus.SENT,), eligible_for=AuditAction.REQUEUE)
DUE = {"events_pending", "events_failed", "events_lease"}


async def claim(queue: Queue) -> None:
    assert len(await queue.claim_due(channels=CHANNELS, slots=20, room=Room(10))) == 20


async def claim_suspects(queue: Queue) -> None:
    await queue.claim_due(channels=CHANNELS, slots=1, suspects=True)


async def claim_despite_closed_channels(queue: Queue) -> None:
    """All channels but one are closed, and most of the backlog is theirs."""
    await close(queue, CHANNELS - {"Slack"})
    claims = await queue.claim_due(channels=CHANNELS, slots=20, room=Room(10), rules={})
    assert {claim.notification.channel for claim in claims} == {"Slack"}
    await queue.claim_due(channels=CHANNELS, slots=20, rules={"Slack": ChannelRules(Rate(WAIT), sessions=3)})


async def close(queue: Queue, channels: Iterable[str]) -> None:
    for channel in channels:
        told = ToldToWait(LONGEST_CLOSURE, "HTTP 429")
        await queue.repository.report(Report(channel, told, ChannelRules()))


async def next_due(queue: Queue) -> None:
    await close(queue, ["Teams"])
    await queue.repository.next_due_at(after=queue.clock(), channels=CHANNELS)


async def certificates_of_a_page(queue: Queue) -> None:
    page = await queue.repository.list(DEAD, limit=50)
    assert await queue.repository.certificate_states(page.items)


async def claim_after_leases_ended(queue: Queue) -> None:
    await queue.claim_due(channels=CHANNELS, slots=1, lease=timedelta(0))
    await queue.claim_due(channels=CHANNELS, slots=1)


def outcome(record: str, *arguments: object) -> Operation:
    async def operation(queue: Queue) -> None:
        (claim,) = await queue.claim_due(channels=CHANNELS, slots=1)
        assert await getattr(queue.repository, record)(claim, *arguments)

    return operation


def transition(name: str, notification_id: str) -> Operation:
    return lambda queue: getattr(queue.repository, name)(notification_id)


def bulk(name: str, **arguments: object) -> Operation:
    ids = [f"notif-{number:08}" for number in range(1005, 1025)]
    return lambda queue: getattr(queue.repository, name)(ids, **arguments)


def expired(kind: Retained) -> Operation:
    """Deletes nothing, because the other queries need their rows."""
    long_ago = NOON - timedelta(days=10_000)
    return lambda queue: queue.repository.delete_expired(Expiry(kind, long_ago, RetentionRun("worker-1")))


CHANGES: dict[str, tuple[Operation, set[str]]] = {
    "accept": (lambda queue: queue.pending(), set()),
    "accept a known key": (
        lambda queue: queue.repository.accept(KNOWN),
        {"events_idempotency_key"},
    ),
    "claim": (claim, DUE | {"primary key"}),
    "claim despite closed channels": (claim_despite_closed_channels, DUE | {"primary key"}),
    "claim suspects": (claim_suspects, DUE),
    "claim after leases ended": (claim_after_leases_ended, DUE | {"primary key"}),
    "sent": (outcome("record_sent", TOOK), DUE | {"primary key"}),
    "failed": (outcome("record_failed_attempt", TOOK, "HTTP 503", WAIT), DUE | {"primary key"}),
    "dead": (outcome("mark_as_dead", TOOK, "HTTP 410"), DUE | {"primary key"}),
    "release": (outcome("release"), DUE | {"primary key"}),
    "requeue": (transition("requeue", "notif-00000007"), {"events_lease", "primary key"}),
    "mark read": (transition("mark_read", "notif-00000008"), {"events_lease", "primary key"}),
    "requeue many": (bulk("requeue_all"), {"events_lease", "primary key"}),
    "mark many read": (bulk("mark_all_read"), {"events_lease", "primary key"}),
    "purge": (
        bulk("purge_all", statuses=[NotificationStatus.SENT], created_until=NOON),
        {"events_lease", "primary key"},
    ),
    "retention of sent": (expired(Retained.SENT), {"events_newest_by_status"}),
    "retention of read": (expired(Retained.READ), {"events_newest_by_status"}),
    "retention of dead": (expired(Retained.DEAD), {"events_newest_by_status", "primary key"}),
    "retention of undelivered": (
        expired(Retained.UNDELIVERED),
        {"events_newest_undelivered", "primary key"},
    ),
    "retention of audit": (expired(Retained.AUDIT), {"primary key"}),
}
READS: dict[str, tuple[Operation, set[str]]] = {
    "one": (lambda queue: queue.repository.get("notif-00000009"), {"primary key"}),
    "its replacement": (lambda queue: queue.repository.replacement("notif-00000009"), {"events_origin"}),
    "its attempts": (lambda queue: queue.repository.attempts("notif-00000009"), {"primary key"}),
    "its audit": (
        lambda queue: queue.repository.audit("notif-00000009", limit=10),
        {"audit_notification"},
    ),
    "what was done to it": (
        lambda queue: queue.repository.audit_log("notif-00000009", limit=10),
        {"audit_notification"},
    ),
    "next due": (next_due, DUE),
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
        {"attempts_recent", "primary key"},
    ),
    "deliveries of a year": (
        lambda queue: queue.repository.delivery_figures(NOON - timedelta(days=365), NOON),
        {"attempts_recent", "primary key"},
    ),
    "days without figures": (
        lambda queue: queue.repository.days_to_keep(NOON - timedelta(days=365), NOON),
        {"attempts_recent", "primary key"},
    ),
    "hours without figures": (
        lambda queue: queue.repository.hours_to_keep(day_of(NOON - timedelta(days=1)), NOON),
        {"attempts_recent", "primary key"},
    ),
    "everything counted": (lambda queue: queue.repository.count(NotificationFilter()), set()),
    "dead letters of a channel counted": (lambda queue: queue.repository.count(DEAD_IN_SLACK), set()),
    "what can be requeued counted": (
        lambda queue: queue.repository.count(NotificationFilter(eligible_for=AuditAction.REQUEUE)),
        set(),
    ),
    "counts by status": (lambda queue: queue.repository.count_by_status(), set()),
    "counts of a summary": (
        lambda queue: queue.repository.queue_counts(),
        {"events_newest_by_status", "events_failed"},
    ),
    "dead letters of a type counted": (
        lambda queue: queue.repository.count(DEAD_OF_A_TYPE),
        {"events_newest_by_status"},
    ),
    "a type counted": (
        lambda queue: queue.repository.count(NotificationFilter(type="Revocation")),
        {"events_newest_by_type"},
    ),
    "statuses of other programs": (
        lambda queue: queue.repository.list(NotificationFilter(statuses=(NotificationStatus.OTHER,))),
        {"events_newest_by_status"},
    ),
    "dead letters broken down": (
        lambda queue: queue.repository.breakdown(DEAD),
        {"events_newest_by_status"},
    ),
    "ids that were named": (
        lambda queue: queue.repository.matching_ids(NAMED, limit=500),
        {"primary key"},
    ),
    "a list of named ids": (lambda queue: queue.repository.list(NAMED), {"primary key"}),
    "shares of named ids": (lambda queue: queue.repository.breakdown(NAMED), {"primary key"}),
    "dead letters of a certificate counted": (
        lambda queue: queue.repository.count(OF_A_CERTIFICATE),
        {"events_newest_by_certificate"},
    ),
    "ids of dead letters": (
        lambda queue: queue.repository.matching_ids(DEAD, limit=500),
        {"events_newest_by_status"},
    ),
    "named ids that can be requeued": (
        lambda queue: queue.repository.matching_ids(REQUEUEABLE, limit=500),
        {"primary key"},
    ),
    "undelivered ids that can be requeued": (
        lambda queue: queue.repository.matching_ids(UNDELIVERED, limit=500),
        {"events_newest_undelivered"},
    ),
    "live processes": (lambda queue: queue.repository.processes(), {"processes_seen"}),
    "unserved channels": (
        lambda queue: queue.repository.unserved_channels(),
        {"processes_seen", "events_pending", "events_failed"},
    ),
    "undeliverable channels": (
        lambda queue: queue.repository.undeliverable_channels(timedelta(minutes=15)),
        {"processes_seen", "events_pending", "events_failed"},
    ),
    "failures": (
        lambda queue: queue.repository.failure_groups(NotificationFilter(), limit=100),
        {"events_newest_by_status", "events_newest_undelivered", "events_origin", "primary key"},
    ),
    "failures of a channel": (
        lambda queue: queue.repository.failure_groups(NotificationFilter(channel="Slack"), limit=100),
        {"events_newest_by_status", "events_newest_undelivered", "events_origin", "primary key"},
    ),
    "urgency of dead letters": (
        lambda queue: queue.repository.urgency_counts(DEAD, until=NOON),
        {"events_newest_by_status", "events_renewals"},
    ),
    "dead letters that are settled": (
        lambda queue: queue.repository.list(DEAD.model_copy(update={"urgency": Urgency.SETTLED})),
        {"events_newest_by_status", "events_renewals"},
    ),
    "certificates of a page": (certificates_of_a_page, {"events_newest_by_status", "events_renewals"}),
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
    "sent in a channel": ({"statuses": ["sent"], "channel": "Slack"}, "newest_by_channel"),
    "status in a period": (
        {"statuses": ["dead"], "created_until": NOON - timedelta(days=30)},
        "newest_by_status",
    ),
}
