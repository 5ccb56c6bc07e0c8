import logging
from datetime import datetime, timedelta

import pytest

from certctl_mcp.delivery.certctl_warning import RECENT, warn_if_certctl_delivers
from storage.errors import DatabaseBusyError
from tests.builders import NOON, SettableClock


class Certctl:
    """Returns the given numbers of notifications settled by certctl's server, one for each call."""

    def __init__(self, *counts: int | None) -> None:
        """None stands for a locked database."""
        self.counts = list(counts)
        self.since: list[datetime] = []

    async def settled_by_certctl(self, since: datetime) -> int:
        self.since.append(since)
        count = self.counts.pop(0)
        if count is None:
            raise DatabaseBusyError("locked")
        return count


class EndedError(Exception):
    """Ends the loop under test."""


async def warnings(certctl: Certctl, clock: SettableClock, caplog: pytest.LogCaptureFixture) -> list[str]:
    async def sleep(seconds: float) -> None:
        if not certctl.counts:
            raise EndedError
        clock.advance(timedelta(seconds=seconds))

    with caplog.at_level(logging.WARNING), pytest.raises(EndedError):
        await warn_if_certctl_delivers(certctl, clock, sleep)
    return [record.getMessage() for record in caplog.records]


async def test_a_warning_is_logged_whenever_certctl_has_settled_more(
    clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    messages = await warnings(Certctl(0, 2, None, 2, 5), clock, caplog)
    assert [message.split(" itself")[0] for message in messages] == [
        "certctl's server has settled 2 notifications",
        "certctl's server has settled 5 notifications",
    ]


async def test_notifications_settled_before_the_start_or_long_ago_do_not_count(
    clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    certctl = Certctl(*[0] * 90)
    await warnings(certctl, clock, caplog)
    assert certctl.since[0] == NOON
    assert certctl.since[-1] == NOON + timedelta(minutes=90) - RECENT
