"""Points in time as people write them: ISO 8601, an age such as `24h`, or `yesterday`."""

from datetime import UTC, datetime, timedelta

from certctl_mcp.config.durations import parse_duration

EXAMPLES = "ISO 8601 such as 2026-11-22 or 2026-11-22T23:00Z, or how long ago, such as 90m, 24h or yesterday"

_DAYS = {"today": 0, "yesterday": 1}


def parse_moment(given: str, now: datetime) -> datetime:
    """A moment in UTC, which is also assumed where no offset is given. An age counts back from `now`.

    `today` and `yesterday` begin at midnight, UTC.

    Raises:
        ValueError: it is none of these.
    """
    given = given.strip()
    if given.lower() in _DAYS:
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=_DAYS[given.lower()])
    try:
        # Python accepts any character between date and time, including invisible ones.
        if not (given.isascii() and given.isprintable()):
            raise ValueError
        # A bare number is half a date more often than it is a number of seconds.
        absolute = given[-1:].isdecimal() or given[-1:] in "Zz"
        moment = datetime.fromisoformat(given) if absolute else now - parse_duration(given)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError("not a point in time") from None
