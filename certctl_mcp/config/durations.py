"""Durations as operators write them: `90s`, `2m`, `1h30m`, `500ms`, or a number of seconds."""

import math
import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_PART = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)(ms|[dhms])", re.ASCII)
_PARTS = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_SECONDS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)

LONGEST = timedelta(days=365)
"""Durations are added to times; this limit keeps the sum within the calendar."""

LONGEST_PERIOD = timedelta(days=36_500)
"""The limit for a period that nothing waits for, such as retention."""


def parse_duration(written: object, *, longest: timedelta = LONGEST) -> timedelta:
    """The duration that `written` stands for; a timedelta is returned unchanged.

    Raises:
        ValueError: it is not a duration, or is negative or longer than `longest`.
    """
    duration = _read(written)
    if duration is None:
        raise ValueError("must be a duration such as 90s, 2m, 1h30m, 500ms or a number of seconds")
    if not timedelta(0) <= duration <= longest:
        raise ValueError(f"must be a duration from 0s to {format_duration(longest)}")
    return duration


def capped_duration(written: object) -> timedelta:
    """The duration that `written` stands for, but at most `LONGEST`.

    Raises:
        ValueError: it is not a duration, or is negative.
    """
    return min(parse_duration(written, longest=timedelta.max), LONGEST)


def format_duration(duration: timedelta) -> str:
    """`duration` as `parse_duration` reads it, to the millisecond: 90 seconds are `1m30s`."""
    rest = duration
    parts = []
    for name, unit in _UNITS.items():
        count, rest = divmod(rest, unit)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts) or "0s"


def _read(written: object) -> timedelta | None:
    match written:
        case timedelta():
            return written
        case float() if math.isnan(written):
            return None
        case str():
            return _text(written.strip())
        # In Python True is an int, but it isn't meant as one second.
        case int() | float() if not isinstance(written, bool):
            return _scaled(written, _UNITS["s"])
    return None


def _text(written: str) -> timedelta | None:
    if _SECONDS.fullmatch(written):
        return _scaled(float(written), _UNITS["s"])
    if not _PARTS.fullmatch(written):
        return None
    return sum((_scaled(float(count), _UNITS[unit]) for count, unit in _PART.findall(written)), timedelta(0))


def _scaled(count: float, unit: timedelta) -> timedelta:
    # The caller refuses values out of range; these bounds only keep infinities out of the arithmetic.
    return unit * min(max(count, -1), 2 * LONGEST_PERIOD / unit)


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
"""A field that accepts what `parse_duration` accepts."""

CappedDuration = Annotated[timedelta, BeforeValidator(capped_duration)]
"""A field that accepts what `capped_duration` accepts: certctl reads it too, and has no limit."""
