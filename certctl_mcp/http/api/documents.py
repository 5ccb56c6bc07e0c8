"""What do clients of REST send and read? certctl's documents, to the field, and what this program adds.

Texts from outside are strings like others: without their secrets, and otherwise as they came.
"""

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from certctl_mcp.text.redaction import redact
from storage.models import (
    Attempt,
    AttemptOutcome,
    AuditAction,
    AuditEntry,
    Notification,
    NotificationStatus,
)

LONGEST_IN_LIST = 2000
"""Characters of a text in a list; the notification itself has the whole of it."""

LONGEST_MESSAGE = 1_000_000

_LONGEST_REMEMBERED = 2100

_NO_NUL = r"^[^\x00]*$"
Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=_NO_NUL)]


def _of_allowed_length(message: str) -> str:
    # Told in words and not in the schema, where programs that make examples of it choke on such a number.
    if len(message) > LONGEST_MESSAGE:
        raise ValueError(f"must have at most {LONGEST_MESSAGE} characters")
    return message


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class CreateNotification(BaseModel):
    """An alert to be delivered."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    type: Name
    """Serves as the subject, such as ExpirationWarning."""
    channel: Name
    """A configured channel's name."""
    message: Annotated[
        str, StringConstraints(min_length=1, pattern=_NO_NUL), AfterValidator(_of_allowed_length)
    ]
    """At most 1,000,000 characters."""
    recipient: Annotated[str, StringConstraints(max_length=255, pattern=_NO_NUL)] = ""
    """Address within the channel, where it takes one."""
    certificate_id: Name | None = None


class NotificationDocument(_Document):
    """A notification. What is not there is left out."""

    id: str
    type: str
    certificate_id: str | None = None
    channel: str
    recipient: str
    message: str
    status: NotificationStatus
    sent_at: datetime | None = None
    """When a delivery succeeded, and only that."""
    error: str | None = None
    """Why it counts as done though nothing was delivered."""
    retry_count: int
    """Failed attempts since it was accepted or requeued."""
    next_retry_at: datetime | None = None
    last_error: str | None = None
    created_at: datetime
    read_at: datetime | None = None
    cut: int | None = None
    """Characters left out of its texts."""


class AttemptDocument(_Document):
    """One attempt to deliver."""

    number: int
    started_at: datetime
    seconds: float | None = None
    """Left out where it was never answered."""
    outcome: AttemptOutcome
    error: str | None = None
    late: bool
    """Its outcome came too late and was refused."""


class AuditDocument(_Document):
    """What somebody did to a notification."""

    at: datetime
    actor: str
    """`http:` and the name of a key or `oauth:` and a client, `cli:` and a user, `stdio:` and a client."""
    action: AuditAction


class NotificationDetail(NotificationDocument):
    """A notification, its newest attempts, and who did what to it, oldest first."""

    attempts: tuple[AttemptDocument, ...]
    attempts_before: int
    """How many there were before these."""
    audit: tuple[AuditDocument, ...]
    """The newest entries."""


class NotificationList(_Document):
    """A page, newest first."""

    data: tuple[NotificationDocument, ...]
    total: int
    """How many match in all."""
    page: int | None = None
    """Left out where a cursor was given."""
    per_page: int
    next_cursor: str | None = None
    """Goes on after this page, whatever arrives meanwhile. Left out at the end."""


class Requeued(_Document):
    """It is attempted at once."""

    status: Literal["requeued"] = "requeued"


class MarkedAsRead(_Document):
    """Nothing is left to do about it."""

    status: Literal["marked_as_read"] = "marked_as_read"


class AuthInfo(_Document):
    """Whether a key is needed."""

    auth_type: Literal["api-key", "none"]
    required: bool


class AuthCheck(_Document):
    """Whose key it is."""

    status: Literal["authenticated"] = "authenticated"
    user: str
    admin: bool
    read_only: bool


def notification_document(notification: Notification) -> NotificationDocument:
    """As a list shows it."""
    texts = (notification.message, notification.last_error, notification.error)
    cut = sum(max(0, len(text) - LONGEST_IN_LIST) for text in texts if text is not None)
    return NotificationDocument(
        id=notification.id,
        type=_clean(notification.type),
        certificate_id=_cleaned(notification.certificate_id),
        channel=_clean(notification.channel),
        recipient=_clean(notification.recipient),
        message=_beginning(notification.message),
        status=notification.status,
        sent_at=notification.sent_at,
        error=None if notification.error is None else _beginning(notification.error),
        retry_count=notification.retry_count,
        next_retry_at=notification.next_retry_at,
        last_error=None if notification.last_error is None else _beginning(notification.last_error),
        created_at=notification.created_at,
        read_at=notification.read_at,
        cut=cut or None,
    )


def notification_detail(
    notification: Notification,
    attempts: tuple[Attempt, ...],
    attempts_before: int,
    audit: tuple[AuditEntry, ...],
) -> NotificationDetail:
    """The whole of it."""
    return NotificationDetail(
        **notification_document(notification).model_dump(exclude={"message", "error", "last_error", "cut"}),
        message=_clean(notification.message),
        error=_cleaned(notification.error),
        last_error=_cleaned(notification.last_error),
        attempts=tuple(
            AttemptDocument(
                number=attempt.number,
                started_at=attempt.started_at,
                seconds=None if attempt.duration is None else round(attempt.duration.total_seconds(), 3),
                outcome=attempt.outcome,
                error=_cleaned(attempt.error),
                late=attempt.late,
            )
            for attempt in attempts
        ),
        attempts_before=attempts_before,
        audit=tuple(
            AuditDocument(at=entry.at, actor=_clean(entry.actor), action=entry.action) for entry in audit
        ),
    )


def _beginning(text: str) -> str:
    # Cut last: half a secret would no longer be recognised.
    return _clean(text[:_LONGEST_REMEMBERED])[:LONGEST_IN_LIST]


def _cleaned(text: str | None) -> str | None:
    return None if text is None else _clean(text)


def _clean(text: str) -> str:
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else redact(text)


# Lists are asked for again and again, and recognising secrets costs more than all else in a row.
_remembered = lru_cache(maxsize=4096)(redact)
