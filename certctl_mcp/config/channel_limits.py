"""The limits of a channel's receiver: as the operator sets them, or as the provider documents them.

A burst is smaller than the provider allows, because network delays can bunch attempts together.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

from storage.channel_state import LONGEST_CLOSURE, Rate

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
}
_RATE = re.compile(r"(?P<number>[0-9]{1,6}(?:\.[0-9]{1,6})?)\s*/\s*(?P<unit>s|m|min|h)", re.ASCII)

_SHORTEST = timedelta(milliseconds=1)

NO_LIMIT = "unlimited"


def parse_rate(written: object) -> object:
    """The time between two attempts at a rate such as `1/s`, `120/m` or `10/h`; zero for `unlimited`.

    Raises:
        ValueError: it is not a rate, or is outside the limits.
    """
    if isinstance(written, timedelta):
        return written
    if isinstance(written, str) and written.strip() == NO_LIMIT:
        return timedelta(0)
    found = _RATE.fullmatch(written.strip()) if isinstance(written, str) else None
    if found is None or float(found["number"]) == 0:
        raise ValueError(f"must be a rate such as 1/s, 120/m or 10/h, or {NO_LIMIT}")
    interval = _UNITS[found["unit"]] / float(found["number"])
    if not _SHORTEST <= interval <= LONGEST_CLOSURE:
        raise ValueError("must be a rate from 1/h to 1000/s")
    return interval


def format_rate(interval: timedelta) -> str:
    """The rate that `parse_rate` reads as this time between two attempts."""
    if not interval:
        return NO_LIMIT
    unit = next((name for name in ("s", "m") if interval <= _UNITS[name]), "h")
    return f"{_UNITS[unit] / interval:.6g}/{unit}"


SendInterval = Annotated[timedelta, BeforeValidator(parse_rate)]


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """The limits of one channel, across all processes."""

    rate: Rate | None = None
    sessions: int | None = None
    """The most attempts in flight."""

    def with_settings(
        self, interval: timedelta | None, burst: int | None, sessions: int | None
    ) -> "ChannelLimits":
        """These limits, unless the operator sets others."""
        rate = self.rate
        if interval is not None:
            rate = Rate(interval, rate.burst if rate else 1) if interval else None
        if rate is not None and burst is not None:
            rate = Rate(rate.interval, burst)
        return ChannelLimits(rate, self.sessions if sessions is None else sessions or None)


DOCUMENTED: Mapping[str, ChannelLimits] = {
    # "send no more than one message per second. We allow bursts over that limit for short periods",
    # https://api.slack.com/docs/rate-limits
    "slack": ChannelLimits(Rate(timedelta(seconds=1), burst=4)),
    # "an overall maximum of 4 requests per second, per app against a specific team or channel",
    # https://learn.microsoft.com/graph/throttling-limits#microsoft-teams-service-limits
    "teams": ChannelLimits(Rate(timedelta(seconds=1) / 4, burst=3)),
    # Events are limited to "120/min (enforced per-integration-key)",
    # https://community.pagerduty.com/forum/t/which-rate-limit-of-rest-api-is-correct/3322
    "pagerduty": ChannelLimits(Rate(timedelta(seconds=1) / 2, burst=10)),
    # "Only three concurrent connections to our service per mailbox will be allowed",
    # https://techcommunity.microsoft.com/blog/exchange/changes-coming-to-the-smtp-authenticated-submission-client-protocol/607825
    "email": ChannelLimits(sessions=3),
}
"""By the kind of destination. OpsGenie's limits depend on the plan and the number of users
(https://docs.opsgenie.com/docs/api-rate-limiting), so it has none until it asks to wait."""
