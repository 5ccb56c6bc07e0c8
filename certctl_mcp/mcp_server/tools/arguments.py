"""What may be passed to several tools, and how it is read."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from certctl_mcp.config.durations import parse_duration
from certctl_mcp.mcp_server.tools.rows import iso
from certctl_mcp.services.errors import RequestError, quoted
from certctl_mcp.text.untrusted import decode_id
from storage.models import NotificationFilter, NotificationStatus

NotificationId = Annotated[
    str, Field(min_length=1, description="As list_notifications gives it."), AfterValidator(decode_id)
]


def _several(given: object) -> object:
    return (given,) if isinstance(given, str) else given


Statuses = Annotated[
    tuple[NotificationStatus, ...], BeforeValidator(_several), Field(description="Any of these.")
]
Channel = Annotated[str | None, Field(description="Exact; see list_channels.")]
Type = Annotated[str | None, Field(description="Exact, such as ExpirationWarning.")]
CertificateId = Annotated[str | None, Field(description="Exact.")]
Recipient = Annotated[str | None, Field(description="Exact.")]
Text = Annotated[
    str | None, Field(min_length=1, max_length=255, description="Part of the message or error, any case.")
]
CreatedAfter = Annotated[
    str | None, Field(description="Inclusive: ISO 8601 (UTC), or how long ago, such as 90m, 24h, 7d.")
]
CreatedBefore = Annotated[str | None, Field(description="Exclusive; likewise.")]
Ids = Annotated[
    tuple[Annotated[str, AfterValidator(decode_id)], ...],
    BeforeValidator(_several),
    Field(max_length=500, description="Just these."),
]


class ArgumentError(RequestError):
    """An argument has a value that it can't have. The message names it and says what would be right."""


def notification_filter(
    now: datetime,
    *,
    status: tuple[NotificationStatus, ...] = (),
    channel: str | None = None,
    type: str | None = None,
    certificate_id: str | None = None,
    recipient: str | None = None,
    text: str | None = None,
    created_after: str | None = None,
    created_before: str | None = None,
    ids: tuple[str, ...] = (),
) -> NotificationFilter:
    """What the arguments of these names ask for at `now`.

    Raises:
        ArgumentError: one of the moments is none, or there is no time between them.
    """
    begin = _moment("created_after", created_after, now)
    end = _moment("created_before", created_before, now)
    # That nothing was found would pass for good news.
    if begin is not None and begin > now:
        raise ArgumentError(f"created_after: {iso(begin)} lies in the future, it is {iso(now)}")
    if begin is not None and end is not None and begin >= end:
        raise ArgumentError(f"created_after: {iso(begin)} is not before created_before, {iso(end)}")
    return NotificationFilter(
        ids=ids,
        statuses=status,
        channel=channel,
        type=type,
        certificate_id=certificate_id,
        recipient=recipient,
        text=text,
        created_from=begin,
        created_until=end,
    )


def _moment(name: str, given: str | None, now: datetime) -> datetime | None:
    return None if given is None else moment_argument(name, given, now)


def moment_argument(name: str, given: str, now: datetime) -> datetime:
    """A moment given as ISO 8601, UTC if it has no offset, or as the time that has passed since, like 24h.

    Raises:
        ArgumentError: it is neither.
    """
    given = given.strip()
    try:
        # ISO 8601 as Python reads it takes any character between day and hour, also one that hides.
        if not (given.isascii() and given.isprintable()):
            raise ValueError
        # Elsewhere a bare number is a duration in seconds; here it is more likely half a date.
        moment = datetime.fromisoformat(given) if given[-1:].isdecimal() else _stated(given, now)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ArgumentError(
            f"{name}: {quoted(given)} is no moment; give ISO 8601 such as 2026-11-22T23:00Z, "
            "or how long ago, such as 90m, 24h or 7d"
        ) from None


def _stated(given: str, now: datetime) -> datetime:
    return datetime.fromisoformat(given) if given[-1:] in "Zz" else now - parse_duration(given)
