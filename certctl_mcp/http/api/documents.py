"""The request and response bodies of the REST API: certctl's own fields, and the ones added here.

Untrusted text is redacted and otherwise unchanged; escaping it is up to the client that displays it.
"""

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Literal

from fastapi import Header
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from certctl_mcp.text.redaction import LOOK_AHEAD, redact, redact_beginning
from storage.models import (
    Attempt,
    AttemptOutcome,
    AuditAction,
    AuditEntry,
    ChannelClosure,
    Notification,
)

MAX_TEXT_IN_LIST = 2000
"""The most characters of a text in a list; the notification itself has the full text."""

MAX_MESSAGE = 1_000_000

IfNoneMatch = Annotated[
    str | None, Header(description="The ETag of an earlier response; 304 if nothing has changed.")
]

_MAX_CACHED = MAX_TEXT_IN_LIST + LOOK_AHEAD

NO_NUL = r"^[^\x00]*$"
Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=NO_NUL)]


def _within_max_length(message: str) -> str:
    # Checked here and not in the schema, because tools that generate examples from the schema fail on such a
    # number.
    if len(message) > MAX_MESSAGE:
        raise ValueError(f"must have at most {MAX_MESSAGE} characters")
    return message


class ResponseDocument(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class PauseChannel(BaseModel):
    """A pause of a channel."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    until: Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=NO_NUL)]
    """ISO 8601, or how long, such as 2h. At most 30 days ahead."""
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=NO_NUL)]


class ChannelPaused(ResponseDocument):
    """When the pause ends. Nothing is attempted over the channel until then."""

    paused_until: datetime


class ChannelResumed(ResponseDocument):
    """The channel is no longer paused."""

    was_paused: bool


class TestChannel(BaseModel):
    """A test message."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    recipient: Annotated[str, StringConstraints(max_length=255, pattern=NO_NUL)] = ""
    """The address within the channel, if the channel takes one."""


class ChannelTested(ResponseDocument):
    """The result of a test message."""

    delivered: bool
    seconds: float
    error: str | None = None
    """Why it was not delivered."""


class ChannelDocument(ResponseDocument):
    """A channel, with the reason if nothing is sent over it."""

    name: str
    destination: str
    """Its kind and address, without secrets."""
    processes: int
    """Running processes that deliver over it."""
    closed: ChannelClosure | None = None


class ChannelList(ResponseDocument):
    """The channels, in the order of the settings."""

    data: tuple[ChannelDocument, ...]


class CreateNotification(BaseModel):
    """An alert to deliver."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    type: Name
    """Used as the subject, such as ExpirationWarning."""
    channel: Name
    """The name of a configured channel."""
    message: Annotated[
        str, StringConstraints(min_length=1, pattern=NO_NUL), AfterValidator(_within_max_length)
    ]
    """At most 1,000,000 characters."""
    recipient: Annotated[str, StringConstraints(max_length=255, pattern=NO_NUL)] = ""
    """The address within the channel, if the channel takes one."""
    certificate_id: Name | None = None


class NotificationDocument(ResponseDocument):
    """A notification. Absent values are left out."""

    id: str
    type: str
    certificate_id: str | None = None
    channel: str
    recipient: str
    message: str
    status: str
    """pending, sent, failed, dead, read, or what another program wrote."""
    sent_at: datetime | None = None
    """When it was delivered; absent if it was not."""
    error: str | None = None
    """Why it counts as settled although nothing was delivered."""
    retry_count: int
    """Failed attempts since it was accepted or requeued."""
    next_retry_at: datetime | None = None
    last_error: str | None = None
    created_at: datetime
    read_at: datetime | None = None
    origin_id: str | None = None
    """The dead letter that it replaces, sent over the fallback of its channel."""
    cut: int | None = None
    """Number of characters cut from its texts."""


class AttemptDocument(ResponseDocument):
    """One delivery attempt."""

    number: int
    started_at: datetime
    seconds: float | None = None
    """Absent if the attempt never finished."""
    outcome: AttemptOutcome
    error: str | None = None
    late: bool
    """The outcome came after the lease had been lost, and was refused."""


class AuditDocument(ResponseDocument):
    """A change that someone made to a notification."""

    at: datetime
    actor: str
    """`http:` and a key name or `oauth:` client, `cli:` and a user, or `stdio:` and a client."""
    action: AuditAction


class NotificationDetail(NotificationDocument):
    """A notification, its newest attempts and its audit log, oldest first."""

    attempts: tuple[AttemptDocument, ...]
    attempts_before: int
    """Number of older attempts."""
    audit: tuple[AuditDocument, ...]
    """The newest audit entries."""
    replaced_by: str | None = None
    """The notification that was accepted in its place, over the fallback of its channel."""


class NotificationList(ResponseDocument):
    """One page of notifications, newest first."""

    data: tuple[NotificationDocument, ...]
    total: int
    """Number of matches on all pages."""
    page: int | None = None
    """Absent if a cursor was given."""
    per_page: int
    next_cursor: str | None = None
    """Continues after this page even if notifications arrive in between. Absent on the last page."""


class Requeued(ResponseDocument):
    """The notification is back in the queue."""

    status: Literal["requeued"] = "requeued"


class Retried(ResponseDocument):
    """The outcomes of the attempts."""

    sent: int
    failed: int
    """To be attempted again."""
    dead: int
    still_under_way: int


class MarkedAsRead(ResponseDocument):
    """The notification no longer needs to be delivered."""

    status: Literal["marked_as_read"] = "marked_as_read"


def notification_document(notification: Notification) -> NotificationDocument:
    """`notification` as a list item, with long texts cut."""
    texts = (notification.message, notification.last_error, notification.error)
    cut = sum(max(0, len(text) - MAX_TEXT_IN_LIST) for text in texts if text is not None)
    return NotificationDocument(
        id=notification.id,
        type=redacted(notification.type),
        certificate_id=redacted_or_none(notification.certificate_id),
        channel=redacted(notification.channel),
        recipient=redacted(notification.recipient),
        message=_cut(notification.message),
        status=redacted(_stored_status(notification)),
        sent_at=notification.sent_at,
        error=None if notification.error is None else _cut(notification.error),
        retry_count=notification.retry_count,
        next_retry_at=notification.next_attempt_at,
        last_error=None if notification.last_error is None else _cut(notification.last_error),
        created_at=notification.created_at,
        read_at=notification.read_at,
        origin_id=redacted_or_none(notification.origin_id),
        cut=cut or None,
    )


def _stored_status(notification: Notification) -> str:
    """The status as certctl's clients read it from the same table."""
    foreign = notification.foreign_status
    return notification.status.value if foreign is None else foreign


def notification_detail(
    notification: Notification,
    attempts: tuple[Attempt, ...],
    attempts_before: int,
    audit: tuple[AuditEntry, ...],
    replacement: Notification | None = None,
) -> NotificationDetail:
    """`notification` with its full texts, attempts and audit log."""
    return NotificationDetail(
        **notification_document(notification).model_dump(exclude={"message", "error", "last_error", "cut"}),
        message=redacted(notification.message),
        error=redacted_or_none(notification.error),
        last_error=redacted_or_none(notification.last_error),
        attempts=tuple(
            AttemptDocument(
                number=attempt.number,
                started_at=attempt.started_at,
                seconds=None if attempt.duration is None else round(attempt.duration.total_seconds(), 3),
                outcome=attempt.outcome,
                error=redacted_or_none(attempt.error),
                late=attempt.late,
            )
            for attempt in attempts
        ),
        attempts_before=attempts_before,
        audit=tuple(
            AuditDocument(at=entry.at, actor=redacted(entry.actor), action=entry.action) for entry in audit
        ),
        replaced_by=None if replacement is None else replacement.id,
    )


def _cut(text: str) -> str:
    return _cut_cached(text[:_MAX_CACHED])


def redacted_or_none(text: str | None) -> str | None:
    return None if text is None else redacted(text)


def redacted(text: str) -> str:
    return _redact_cached(text) if len(text) <= _MAX_CACHED else redact(text)


# The same rows are listed again and again.
_redact_cached = lru_cache(maxsize=4096)(redact)


@lru_cache(maxsize=4096)
def _cut_cached(beginning: str) -> str:
    return redact_beginning(beginning, MAX_TEXT_IN_LIST)[:MAX_TEXT_IN_LIST]
