"""certctl's documents about its own tables, and zeros where there are none."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.sql.types import sortable
from tests.builders import NOON
from tests.certctl_mcp.http.conftest import OPERATOR, Served
from tests.storage.raw_sql import run

STATS = "/api/v1/stats"
DAY = timedelta(days=1)


async def get(served: Served, path: str) -> Any:
    async with served.client(OPERATOR) as client:
        answered = await client.get(path)
    assert answered.status_code == 200, answered.text
    return answered.json()


@pytest.fixture
def fleet(served: Served, database_path: Path) -> Served:
    """With certctl's certificates and jobs in the database."""
    run(database_path, "CREATE TABLE managed_certificates (status, expires_at, created_at)")
    run(database_path, "CREATE TABLE jobs (status, completed_at)")
    for status, expires_in, created_ago in (
        ("Active", 90 * DAY, DAY),
        ("active", 3 * DAY, DAY),
        ("", -DAY, 40 * DAY),
        ("Revoked", 3 * DAY, 2 * DAY),
        ("renewal_in_progress", 60 * DAY, 50 * DAY),
        ("odd", 60 * DAY, 50 * DAY),
    ):
        moments = sortable(NOON + expires_in), sortable(NOON - created_ago)
        run(database_path, "INSERT INTO managed_certificates VALUES ($1, $2, $3)", status, *moments)
    for status, ended_ago in (("Completed", DAY), ("Completed", DAY), ("Failed", DAY), ("Failed", 9 * DAY)):
        run(database_path, "INSERT INTO jobs VALUES ($1, $2)", status, sortable(NOON - ended_ago))
    run(database_path, "INSERT INTO jobs VALUES ('Running', NULL)")
    return served


async def test_certificates_are_counted_by_certctls_statuses(fleet: Served) -> None:
    assert await get(fleet, f"{STATS}/certificates-by-status") == [
        {"status": "Active", "count": 1},
        {"status": "Expired", "count": 1},
        {"status": "Expiring", "count": 1},
        {"status": "RenewalInProgress", "count": 1},
        {"status": "Revoked", "count": 1},
        {"status": "odd", "count": 1},
    ]


async def test_the_days_begin_today_or_end_today(fleet: Served) -> None:
    assert await get(fleet, f"{STATS}/expiration-timeline?days=4") == [
        {"date": "2026-01-01", "count": 0},
        {"date": "2026-01-02", "count": 0},
        {"date": "2026-01-03", "count": 0},
        {"date": "2026-01-04", "count": 2},
    ]
    assert await get(fleet, f"{STATS}/issuance-rate?days=3") == [
        {"date": "2025-12-30", "issued_count": 1},
        {"date": "2025-12-31", "issued_count": 2},
        {"date": "2026-01-01", "issued_count": 0},
    ]
    jobs = await get(fleet, f"{STATS}/job-trends?days=2")
    assert jobs[1] == {"date": "2026-01-01", "completed_count": 0, "failed_count": 0, "success_rate": 0.0}
    assert jobs[0] == {
        "date": "2025-12-31",
        "completed_count": 2,
        "failed_count": 1,
        "success_rate": pytest.approx(66.67, abs=0.01),
    }


@pytest.mark.parametrize("days", ["", "abc", "0", "366"])
async def test_days_that_certctl_ignores_are_ignored(served: Served, days: str) -> None:
    timeline = await get(served, f"{STATS}/expiration-timeline?days={days}")
    assert [point["count"] for point in timeline] == [0] * 30


async def test_without_certctls_tables_everything_is_zero(served: Served) -> None:
    assert await get(served, f"{STATS}/certificates-by-status") == []
    assert {point["issued_count"] for point in await get(served, f"{STATS}/issuance-rate")} == {0}
    assert {point["success_rate"] for point in await get(served, f"{STATS}/job-trends")} == {0.0}


async def test_the_metrics_as_json_have_certctls_fields(fleet: Served) -> None:
    metrics = await get(fleet, "/api/v1/metrics")
    assert metrics["gauge"] == {
        "certificate_total": 6,
        "certificate_active": 3,
        "certificate_expiring_soon": 1,
        "certificate_expired": 1,
        "certificate_revoked": 1,
        "agent_total": 0,
        "agent_online": 0,
        "job_pending": 1,
    }
    assert metrics["counter"] == {
        "job_completed_total": 2,
        "job_failed_total": 2,
        "notifications_dead_total": 0,
    }
    assert metrics["uptime"].keys() == {"uptime_seconds", "server_started", "measured_at"}
