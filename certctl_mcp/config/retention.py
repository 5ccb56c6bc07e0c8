"""How long settled notifications are kept: the table `retention` of the settings file."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from certctl_mcp.config.durations import LONGEST_PERIOD, parse_duration

_SHORTEST = timedelta(days=1)
"""A number without a unit means seconds, and would delete nearly everything."""


def _period(written: object) -> timedelta | None:
    if written is None:
        return None
    period = parse_duration(written, longest=LONGEST_PERIOD)
    if period < _SHORTEST:
        raise ValueError("must be at least 1d")
    return period


Period = Annotated[timedelta | None, BeforeValidator(_period)]


class RetentionSettings(BaseModel):
    """How long after being settled each kind is deleted. None: never."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sent: Period = None
    """Delivered notifications."""
    read: Period = None
    dead: Period = None
    """Dead letters, and notifications that count as sent although nothing was delivered."""
    audit: Period = None
    """Entries of the audit log."""
