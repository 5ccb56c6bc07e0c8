"""What may be passed to several tools, and how it is read."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from certctl_mcp.durations import parse_duration
from certctl_mcp.errors import RequestError
from certctl_mcp.untrusted import meant_id

NotificationId = Annotated[
    str, Field(min_length=1, description="As list_notifications gives it."), AfterValidator(meant_id)
]


class ArgumentError(RequestError):
    """An argument has a value that it can't have. The message names it and says what would be right."""


def moment_argument(name: str, given: str, now: datetime) -> datetime:
    """A moment given as ISO 8601, UTC if it has no offset, or as the time that has passed since, like 24h.

    Raises:
        ArgumentError: it is neither.
    """
    given = given.strip()
    try:
        # Elsewhere a bare number is a duration in seconds; here it is more likely half a date.
        moment = datetime.fromisoformat(given) if given[-1:].isdecimal() else _stated(given, now)
    except (ValueError, OverflowError):
        raise ArgumentError(
            f"{name}: {given[:40]!r} is no moment; give ISO 8601 such as 2026-11-22T23:00Z, "
            "or how long ago, such as 90m, 24h or 7d"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _stated(given: str, now: datetime) -> datetime:
    return datetime.fromisoformat(given) if given[-1:] in "Zz" else now - parse_duration(given)
