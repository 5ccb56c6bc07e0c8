"""Points in time and ages as people and models write them: ISO 8601, `24h`, `7 days ago`, `yesterday`."""

import re
from datetime import UTC, datetime, timedelta

EXAMPLES = "ISO 8601 such as 2026-11-22 or 2026-11-22T23:00Z, or how long ago, such as 90m, 24h or yesterday"

END_EXAMPLES = "how long, such as 90m or 2h, or until when in ISO 8601, such as 2026-11-22T23:00Z"

_DAYS = {"today": 0, "yesterday": 1}

_VAGUE = {
    "last night": (timedelta(hours=-6), timedelta(0)),
    "overnight": (timedelta(hours=-6), timedelta(0)),
    "yesterday morning": (timedelta(hours=-24), timedelta(hours=-18)),
    "yesterday evening": (timedelta(hours=-7), timedelta(hours=-6)),
    "this morning": (timedelta(0), timedelta(hours=6)),
}
"""Words that could mean several moments, as offsets from the last midnight."""

_UNITS = {
    timedelta(weeks=1): ("w", "wk", "wks", "week", "weeks"),
    timedelta(days=1): ("d", "day", "days"),
    timedelta(hours=1): ("h", "hr", "hrs", "hour", "hours"),
    timedelta(minutes=1): ("m", "min", "mins", "minute", "minutes"),
    timedelta(seconds=1): ("s", "sec", "secs", "second", "seconds"),
    timedelta(milliseconds=1): ("ms",),
}
_BY_NAME = {name: unit for unit, names in _UNITS.items() for name in names}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?([a-z]{1,7})(?: |,|and )*", re.ASCII)
_ISO_DURATION = re.compile(
    r"p(?:(\d{1,9})w)?(?:(\d{1,9})d)?(?:t(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?)?", re.ASCII
)
_LONGEST_AGE = timedelta(days=3660)
_LONGEST_TEXT = 60
"""The most characters of an age."""


def parse_age(given: str) -> timedelta:
    """An age or a length of time: `90m`, `24H`, `7 d`, `1 week`, `2 hours ago`, `1d12h` or ISO 8601's
    `PT24H`.

    Raises:
        ValueError: it is none of these. Neither is a bare number, because its unit can't be guessed.
    """
    text = " ".join(given.lower().split())
    if len(text) > _LONGEST_TEXT:
        raise ValueError("too long for an age")
    text = text.removeprefix("the ").removeprefix("last ").removeprefix("past ").removesuffix(" ago")
    iso = _ISO_DURATION.fullmatch(text)
    if iso is not None and any(iso.groups()):
        weeks, days, hours, minutes, seconds = (int(part or 0) for part in iso.groups())
        text = f"{weeks}w{days}d{hours}h{minutes}m{seconds}s"
    age, end = timedelta(0), 0
    while end < len(text):
        part = _PART.match(text, end)
        unit = _BY_NAME.get(part[2]) if part is not None else None
        if part is None or unit is None:
            raise ValueError("not an age")
        age += unit * float(part[1])
        end = part.end()
    if not text or age > _LONGEST_AGE:
        raise ValueError("not an age")
    return age


def parse_moment(given: str, now: datetime) -> datetime:
    """A moment in UTC, which is also assumed if no offset is given. An age counts back from `now`.

    `today` and `yesterday` begin at midnight, UTC.

    Raises:
        ValueError: it is none of these.
    """
    given = given.strip()
    if given.lower() == "now":
        return now.astimezone(UTC)
    if given.lower() in _DAYS:
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=_DAYS[given.lower()])
    try:
        # Python accepts any character between date and time, including invisible ones.
        if not (given.isascii() and given.isprintable()):
            raise ValueError
        # A bare number is more often part of a date than a number of seconds.
        absolute = given[-1:].isdecimal() or (given[-1:] in "Zz" and given[:1].isdecimal())
        moment = datetime.fromisoformat(given) if absolute else now - parse_age(given)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError("not a point in time") from None


def parse_end(given: str, now: datetime) -> datetime:
    """A moment in UTC; a length of time counts from `now` on.

    Raises:
        ValueError: it is none of these.
    """
    try:
        return now + parse_age(given)
    except (ValueError, OverflowError):
        if not given.strip()[:1].isdecimal():
            raise ValueError("not a point in time") from None
        return parse_moment(given, now)


def advice(given: str, now: datetime) -> str:
    """What to give instead of a text that `parse_moment` has refused: its possible meanings, if there are a
    few."""
    text = " ".join(given[:_LONGEST_TEXT].lower().split())
    if text.isascii() and text.isdecimal() and len(text) <= 3:
        meanings = [f"{text}{unit}" for unit in ("m", "h", "d")]
    else:
        midnight = parse_moment("today", now)
        meanings = [f"{midnight + offset:%Y-%m-%dT%H:%MZ}" for offset in _VAGUE.get(text, ())]
    return f"it may mean {' or '.join(meanings)}" if meanings else f"give {EXAMPLES}"
