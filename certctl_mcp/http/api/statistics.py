"""The REST API for statistics: certctl's own routes. Figures that its tables don't contain are zero."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from certctl_mcp.http.api.dependencies import Opened, may_read
from certctl_mcp.http.api.documents import IfNoneMatch
from certctl_mcp.http.api.parameters import whole_number
from certctl_mcp.http.conditional import document_of, json_response
from certctl_mcp.services.dashboard import DashboardSummary
from certctl_mcp.services.trends import DayOfExpiry, DayOfIssuance, DayOfJobs, StatusCount

router = APIRouter(prefix="/api/v1/stats", dependencies=[may_read])

DAYS = 30
MAX_DAYS = 365


async def _days(
    days: Annotated[str, Query(description="From 1 to 365. Anything else counts as 30.")] = "",
) -> int:
    return whole_number(days, default=DAYS, at_most=MAX_DAYS)


Days = Annotated[int, Depends(_days)]


@router.get("/summary", response_model=DashboardSummary)
async def get_dashboard_summary(opened: Opened, if_none_match: IfNoneMatch = None) -> Response:
    """Get the counts of certificates, agents, jobs and notifications."""
    summary = await opened.stats.dashboard_summary()
    document = document_of(summary, volatile=frozenset({"completed_at"}))
    return json_response(document, if_none_match=if_none_match)


@router.get("/certificates-by-status")
async def get_certificates_by_status(opened: Opened) -> tuple[StatusCount, ...]:
    """Get the number of certificates in each status."""
    return await opened.trends.certificates_by_status()


@router.get("/expiration-timeline")
async def get_expiration_timeline(opened: Opened, days: Days) -> tuple[DayOfExpiry, ...]:
    """Get the number of certificates that expire on each of the next days."""
    return await opened.trends.expiration_timeline(days)


@router.get("/job-trends")
async def get_job_trends(opened: Opened, days: Days) -> tuple[DayOfJobs, ...]:
    """Get the outcomes of jobs on each of the last days."""
    return await opened.trends.job_trends(days)


@router.get("/issuance-rate")
async def get_issuance_rate(opened: Opened, days: Days) -> tuple[DayOfIssuance, ...]:
    """Get the number of certificates added on each of the last days."""
    return await opened.trends.issuance_rate(days)
