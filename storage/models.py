"""The models that every layer uses: notifications, their statuses and attempts, claims and counts.

Statuses and columns follow certctl's `notification_events` table; each field documents its meaning.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from storage.structs import struct


class NotificationStatus(StrEnum):
    """The state of a notification. `pending` and `failed` are still to be delivered; the others are final."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    DEAD = "dead"
    READ = "read"
    OTHER = "other"
    """A status of another program: shown and counted, but never changed."""


OUR_STATUSES = tuple(status for status in NotificationStatus if status is not NotificationStatus.OTHER)


class NotificationType(StrEnum):
    """The events on which certctl alerts. Rows may have other types, which are kept and shown as they are."""

    EXPIRATION_WARNING = "ExpirationWarning"
    RENEWAL_SUCCESS = "RenewalSuccess"
    RENEWAL_FAILURE = "RenewalFailure"
    DEPLOYMENT_SUCCESS = "DeploymentSuccess"
    DEPLOYMENT_FAILURE = "DeploymentFailure"
    POLICY_VIOLATION = "PolicyViolation"
    REVOCATION = "Revocation"


DEAD_LETTERS = "DeadLetters"
"""The type of this program's own alerts about dead letters."""

OWN_KEYS = "certctl-mcp:"
"""The prefix of the idempotency keys of this program's own notifications."""


class Urgency(StrEnum):
    """Whether a notification about a certificate still matters."""

    SETTLED = "settled"
    """The certificate was renewed or revoked since."""
    OPEN = "open"
    """It was neither renewed nor revoked since."""
    URGENT = "urgent"
    """Open, and the certificate expires soon or has expired."""


class AttemptOutcome(StrEnum):
    """How one attempt ended. `told_to_wait`: the receiver refuses everything for now. `abandoned`: its worker
    reported no outcome before the lease expired."""

    SENT = "sent"
    FAILED = "failed"
    TOLD_TO_WAIT = "told_to_wait"
    DEAD = "dead"
    SKIPPED = "skipped"
    ABANDONED = "abandoned"


class AuditAction(StrEnum):
    """An audited action on a notification or a channel."""

    SEND = "send"
    REQUEUE = "requeue"
    MARK_READ = "mark read"
    PURGE = "purge"
    TEST = "test"
    PAUSE = "pause"
    RESUME = "resume"
    RETENTION = "retention"


class Retained(StrEnum):
    """Kinds of rows, each with its own retention period."""

    SENT = "sent"
    READ = "read"
    DEAD = "dead"
    UNDELIVERED = "undelivered"
    """Counts as sent, although nothing was delivered."""
    AUDIT = "audit"


TRACEPARENT = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NewNotification(_Record):
    """An alert to be accepted."""

    type: str = Field(min_length=1, max_length=255)
    channel: str = Field(min_length=1, max_length=255)
    recipient: str = Field(default="", max_length=255)
    message: str = Field(min_length=1, max_length=1_000_000)
    certificate_id: str | None = Field(default=None, min_length=1, max_length=255)
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=255)
    """Accepting the same key again returns the notification accepted first."""
    traceparent: str | None = Field(default=None, pattern=TRACEPARENT)
    """The trace in which it is accepted, in the form of W3C Trace Context."""

    @field_validator("*")
    @classmethod
    def _is_storable(cls, value: str | None) -> str | None:
        if value is not None and "\0" in value:
            raise ValueError("must not contain the NUL character, which databases can't store")
        return value

    @field_validator("idempotency_key")
    @classmethod
    def _is_not_reserved(cls, key: str | None) -> str | None:
        if key is not None and key.startswith(OWN_KEYS):
            raise ValueError(f"must not begin with {OWN_KEYS}, which is reserved")
        return key


@struct
class Notification:
    """One row of `notification_events`.

    Made with keyword arguments, except from database rows, where they would take three times as long.
    """

    id: str
    type: str
    certificate_id: str | None
    channel: str
    recipient: str
    message: str
    status: NotificationStatus
    sent_at: datetime | None
    """When it was delivered; None if it was not."""
    error: str | None
    """Why it counts as sent although it was not delivered."""
    retry_count: int
    """Failed attempts recorded since acceptance or the newest requeue."""
    next_retry_at: datetime | None
    last_error: str | None
    created_at: datetime
    read_at: datetime | None
    idempotency_key: str | None
    lease_owner: str | None
    """The worker that is attempting it now."""
    lease_expires_at: datetime | None
    claimed_at: datetime | None
    attempt_count: int
    """All claims so far; the number of the newest is the fencing token of its lease."""
    abandoned_count: int
    """Claims without an outcome since acceptance or the newest requeue."""
    wait_count: int
    """Consecutive attempts, up to the newest, for which the receiver asked to wait. 1 after a failure that
    the channel may have caused. While it is not 0, the notification keeps its place in its channel's
    backlog."""
    waiting_since: datetime | None
    """When the receiver first asked to wait since acceptance or the newest requeue."""
    origin_id: str | None = None
    """The dead letter that it replaces, on the fallback channel."""
    tried_channels: str | None = None
    """The channels on which its origins died, as a JSON array of names."""
    rescue_at: datetime | None = None
    """The time of the next attempt, instead of `next_retry_at`, if certctl's server delivers and has left the
    row to this program."""
    traceparent: str | None = None
    """The trace in which it was accepted; in an attempt, the span of the attempt."""
    foreign_status: str | None = None
    """The stored status, if another program set one of its own."""

    @property
    def next_attempt_at(self) -> datetime | None:
        """When a failed notification is attempted next, if scheduled."""
        if self.status is not NotificationStatus.FAILED:
            return None
        return self.next_retry_at or self.rescue_at

    @property
    def delivered(self) -> bool:
        return self.sent_at is not None

    @property
    def undelivered(self) -> bool:
        """It counts as sent although it was not delivered."""
        return self.status is NotificationStatus.SENT and self.sent_at is None


class Accepted(_Record):
    """The result of accepting. `created` is false if the idempotency key had been accepted before."""

    notification: Notification
    created: bool


@dataclass(frozen=True, slots=True)
class Room:
    """How many more attempts can start in each channel."""

    otherwise: int
    """The number for a channel that is not in `named`."""
    named: Mapping[str, int] = field(default_factory=dict)

    def of(self, channel: str) -> int:
        return self.named.get(channel, self.otherwise)

    def without(self, taken: Mapping[str, int]) -> "Room":
        """What remains after `taken` in each channel."""
        left = {channel: self.of(channel) - number for channel, number in taken.items()}
        return Room(self.otherwise, {**self.named, **left})


@struct
class Claim:
    """The right to attempt one notification, held until `expires_at`.

    The pair of worker and number is the fencing token: no number is used twice for one notification.
    """

    notification: Notification
    worker: str
    number: int
    started_at: datetime
    expires_at: datetime
    probe: bool = False
    """It is the single attempt of a channel that is held during an outage."""
    rescue: bool = False
    """It was taken over from certctl's server, which is running and must not find it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A notification becomes a dead letter."""

    notification: Notification
    """The notification as it was before."""
    error: str
    permanent: bool = False
    """No later attempt could have succeeded."""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One row of `notification_attempts`."""

    notification_id: str
    number: int
    started_at: datetime
    duration: timedelta | None
    """None if the worker reported no outcome."""
    outcome: AttemptOutcome
    error: str | None
    worker: str
    late: bool
    """The outcome came after the lease was lost; it was refused and changed nothing but this record."""


class NotificationFilter(_Record):
    """Which notifications to list or act on. All conditions set must hold."""

    ids: tuple[str, ...] = ()
    """It has any of these statuses; empty means all."""
    statuses: tuple[NotificationStatus, ...] = ()
    stored_statuses: tuple[str, ...] | None = None
    """Or it has any of these stored statuses, which may be another program's."""
    channel: str | None = None
    type: str | None = None
    certificate_id: str | None = None
    recipient: str | None = None
    text: str | None = Field(default=None, min_length=1, max_length=255)
    """A part of the message, `error` or `last_error`; ASCII case is ignored."""
    created_from: AwareDatetime | None = None
    """Inclusive."""
    created_until: AwareDatetime | None = None
    """Exclusive."""
    eligible_for: AuditAction | None = None
    """Only notifications whose status allows the action."""
    urgency: Urgency | None = None
    urgent_until: AwareDatetime | None = None
    """Certificates that expire before this are urgent."""
    remembered: bool | None = None
    """If true, only notifications by which certctl remembers its alerts; if false, only others."""
    beside_certctl: bool = False
    """Whether certctl's tables show the state of certificates. Set by the repository."""


class NotificationPage(_Record):
    """A page, newest first. `next_cursor` continues after the last item, even if others are added; None at
    the end."""

    items: tuple[Notification, ...]
    next_cursor: str | None


class IdPage(_Record):
    """Ids, oldest first. `next` continues after the last id, even if others are added; None at the end."""

    ids: tuple[str, ...]
    next: str | None


class Share(_Record):
    """How many of some notifications have this channel and status."""

    channel: str
    status: NotificationStatus
    undelivered: bool
    """They count as sent although they were not delivered."""
    count: int
    under_way: int
    """How many of them a worker is attempting."""


class NotificationState(_Record):
    """The state of a notification, without its texts."""

    id: str
    status: NotificationStatus
    undelivered: bool
    """It counts as sent although it was not delivered."""
    under_way: bool
    """A worker is attempting it."""


class BulkReport(_Record):
    """How many notifications a bulk action changed, and how many it left unchanged and why."""

    changed: int = 0
    under_way: int = 0
    """Not changed: an attempt is in flight."""
    other_status: int = 0
    """Not changed: their status does not allow it."""
    missing: int = 0
    """No notifications with these ids."""

    def __add__(self, other: "BulkReport") -> "BulkReport":
        return BulkReport(
            changed=self.changed + other.changed,
            under_way=self.under_way + other.under_way,
            other_status=self.other_status + other.other_status,
            missing=self.missing + other.missing,
        )


class AuditEntry(_Record):
    """Who did what, and when."""

    at: AwareDatetime
    actor: str
    """The name of a key, a client or a user."""
    action: AuditAction


class AuditRecord(AuditEntry):
    """An entry, and what it is about."""

    notification_id: str
    """Empty if it is about something else."""
    detail: str | None = None
    """For a channel: its name, the end of the pause, and the reason. For retention: how much was deleted."""


class CertificateState(_Record):
    """The state of a notification's certificate, as far as it is known."""

    revoked: bool = False
    renewed: bool = False
    """Renewed after the notification was accepted."""
    expires_at: AwareDatetime | None = None


class UrgencyCounts(_Record):
    """How many of some notifications about certificates still matter."""

    settled: int
    open: int
    urgent: int
    """How many of the open ones are urgent."""


class FailureGroup(_Record):
    """Dead or failing notifications of one channel whose newest attempts ended alike within one hour."""

    channel: str
    status: NotificationStatus
    error: str | None
    """The beginning of the newest error."""
    abandoned: bool
    """At least one attempt has no outcome."""
    count: int
    replaced: int = 0
    """Dead letters that a fallback channel has delivered instead."""
    first_at: AwareDatetime
    """When the earliest of the newest attempts began; the time of acceptance if no attempt is recorded."""
    last_at: AwareDatetime
    accepted_first_at: AwareDatetime
    accepted_last_at: AwareDatetime
    sample_id: str


class QueueCounts(_Record):
    """The queue at one moment."""

    by_status: dict[NotificationStatus, int]
    undelivered: int
    """Notifications that count as sent although they were not delivered."""
    oldest_dead_at: AwareDatetime | None
    """When the oldest of the dead letters was accepted."""
    next_retry_at: AwareDatetime | None


class ChannelRecord(_Record):
    """How the attempts on one channel ended over a period."""

    channel: str
    outcomes: dict[AttemptOutcome, int]
    last_sent_at: AwareDatetime | None
    last_failed_at: AwareDatetime | None
    last_error: str | None


class DeliveryFigures(_Record):
    """The results of the attempts begun in a period, on one channel or on all."""

    attempts: int
    delivered: int
    failed: int
    """Attempts after which another was due."""
    told_to_wait: int
    """Attempts for which the receiver asked to wait. They use up none of the notification's attempts."""
    died: int
    """Notifications that became dead letters by an attempt of the period."""
    skipped: int
    """No notifier was configured: nothing was delivered."""
    abandoned: int
    """Attempts without an outcome when their lease expired."""
    retries: int
    """Attempts that were not their notification's first."""
    median: timedelta | None
    """From acceptance to the end of the attempt that delivered, over all deliveries, rounded by at most
    5 %; None without any."""
    p95: timedelta | None


class Deliveries(_Record):
    """The results of deliveries over a period."""

    overall: DeliveryFigures
    by_channel: dict[str, DeliveryFigures]
    """Every channel with an attempt, most attempts first."""


class DeliveryStep(_Record):
    """The attempts begun in one step of a period."""

    begins_at: AwareDatetime
    outcomes: dict[AttemptOutcome, int]


class DeliveringProcess(_Record):
    """A live process that delivers, and the channels that it has."""

    name: str
    host: str
    version: str
    channels: tuple[str, ...]
    rescues: bool = False
    """certctl's server delivers, and the process attempts only what certctl leaves."""
    started_at: AwareDatetime
    seen_at: AwareDatetime


def channels_of(processes: Iterable[DeliveringProcess]) -> set[str]:
    """The channels that at least one of the processes has."""
    return {channel for process in processes for channel in process.channels}


class Closure(StrEnum):
    """The reason why a channel sends nothing, or only a little at a time."""

    PAUSED = "paused"
    """Paused by a person."""
    TOLD_TO_WAIT = "told_to_wait"
    """The receiver asked the sender to wait."""
    HELD = "held"
    """An outage: single attempts show whether the channel works again."""
    RATE_LIMITED = "rate_limited"
    """The rate limit is used up."""


STANDSTILL = (Closure.PAUSED, Closure.HELD, Closure.TOLD_TO_WAIT)
"""Nothing is sent until the channel opens. At its rate limit, a channel still works through its backlog."""


class ChannelClosure(_Record):
    """A closed channel, with the reason and the time of opening."""

    channel: str
    state: Closure
    until: AwareDatetime
    """When the next attempt may begin: for a held channel its next probe."""
    since: AwareDatetime | None = None
    """Since when a channel is held."""
    ends_at: AwareDatetime | None = None
    """When a hold ends by itself."""
    reason: str | None = None
    """Why a person paused it."""
    by: str | None = None
    """Who paused it."""
    error: str | None = None
    """The newest response that closed it."""
    waiting: int
    """Notifications that wait for an attempt, including those whose retry is due later."""


class UnservedChannel(_Record):
    """A channel that no live process has, although notifications are waiting for it."""

    channel: str
    waiting: int


class SweepReport(_Record):
    """The outcomes of the attempts that ended during one sweep."""

    sent: int
    failed: int
    """To be attempted again."""
    dead: int
    still_under_way: int
