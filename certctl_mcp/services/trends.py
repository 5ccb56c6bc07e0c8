"""Trends for people: certctl's certificates by status, and its certificates and jobs day by day, in UTC."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Concatenate, ParamSpec

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from certctl_mcp.text.redaction import redact
from storage.database import Database
from storage.errors import StorageError
from storage.queries.certctl_trends import (
    certificates_by_status,
    expirations_by_day,
    issued_by_day,
    jobs_by_day,
)

Arguments = ParamSpec("Arguments")

_DAY = timedelta(days=1)

_STATUSES = {
    "renewalinprogress": "RenewalInProgress",
    "renewal_in_progress": "RenewalInProgress",
    **{
        name.lower(): name
        for name in ("Active", "Expiring", "Expired", "Failed", "Revoked", "Archived", "Pending")
    },
}
"""certctl's spelling of each status."""


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class StatusCount(_Document):
    """The number of certificates in one status."""

    status: str
    count: int


class DayOfExpiry(_Document):
    """The number of certificates that expire on one day."""

    date: str
    count: int


class DayOfJobs(_Document):
    """The outcomes of the jobs of one day."""

    date: str
    completed_count: int
    failed_count: int
    success_rate: float
    """In percent; 0 if none ended."""


class DayOfIssuance(_Document):
    """The number of certificates added on one day."""

    date: str
    issued_count: int


class TrendService:
    """Best effort, as in certctl: figures that can't be read are zero."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def certificates_by_status(self) -> tuple[StatusCount, ...]:
        """Sorted by name. certctl's statuses have certctl's spelling."""
        now = self._database.clock()
        found = await self._read(certificates_by_status, now)
        counts: dict[str, int] = {}
        for status, count in found.items():
            name = _STATUSES.get(status, redact(status))
            counts[name] = counts.get(name, 0) + count
        return tuple(StatusCount(status=name, count=counts[name]) for name in sorted(counts))

    async def expiration_timeline(self, days: int) -> tuple[DayOfExpiry, ...]:
        """Today and the days after it."""
        now = self._database.clock()
        found = await self._read(expirations_by_day, now, now + days * _DAY)
        return tuple(DayOfExpiry(date=date, count=found.get(date, 0)) for date in _dates(now, days))

    async def job_trends(self, days: int) -> tuple[DayOfJobs, ...]:
        """The last days, up to today."""
        now = self._database.clock()
        since = now - days * _DAY
        completed = await self._read(jobs_by_day, since, "Completed")
        failed = await self._read(jobs_by_day, since, "Failed")
        return tuple(
            _day_of_jobs(date, completed.get(date, 0), failed.get(date, 0))
            for date in _dates(since + _DAY, days)
        )

    async def issuance_rate(self, days: int) -> tuple[DayOfIssuance, ...]:
        """The last days, up to today."""
        since = self._database.clock() - days * _DAY
        found = await self._read(issued_by_day, since)
        return tuple(
            DayOfIssuance(date=date, issued_count=found.get(date, 0)) for date in _dates(since + _DAY, days)
        )

    async def _read(
        self,
        query: Callable[Concatenate[Connection, Arguments], Mapping[str, int] | None],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Mapping[str, int]:
        try:
            return await self._database.read(query, *arguments, **named) or {}
        except StorageError:
            return {}


def _day_of_jobs(date: str, completed: int, failed: int) -> DayOfJobs:
    ended = completed + failed
    rate = completed / ended * 100 if ended else 0.0
    return DayOfJobs(date=date, completed_count=completed, failed_count=failed, success_rate=rate)


def _dates(first: datetime, days: int) -> Iterator[str]:
    for number in range(days):
        yield f"{first + number * _DAY:%Y-%m-%d}"
