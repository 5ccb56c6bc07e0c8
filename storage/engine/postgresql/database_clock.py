"""The time of a PostgreSQL database, without a query for each use."""

from datetime import datetime, timedelta

from storage.clock import utc_now

LONGEST_QUERY = timedelta(seconds=1)
"""A response that took longer is too inexact."""


class DatabaseClock:
    """This process's clock, corrected by the time that the database last reported."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)
        self._known = False

    @property
    def ahead(self) -> timedelta:
        """How far the database's time is ahead of this process's clock."""
        return self._ahead

    def __call__(self) -> datetime:
        return utc_now() + self._ahead

    def set(self, reported: datetime, asked_at: datetime) -> None:
        """The database reported its time, queried at `asked_at` by this process's clock."""
        took = utc_now() - asked_at
        if not self._known or took < LONGEST_QUERY:
            self._ahead = reported - (asked_at + took / 2)
            self._known = True
