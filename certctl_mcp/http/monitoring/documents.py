"""The metrics as JSON, in certctl's format, in which figures that could not be read are zero."""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from certctl_mcp.http.monitoring.prometheus import Snapshot
from certctl_mcp.services.dashboard import DashboardSummary


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Gauges(_Document):
    """Counts at this moment."""

    certificate_total: int
    certificate_active: int
    certificate_expiring_soon: int
    """Within 30 days."""
    certificate_expired: int
    certificate_revoked: int
    agent_total: int
    agent_online: int
    job_pending: int


class Counters(_Document):
    """Counts of rows, which fall when rows are requeued or deleted."""

    job_completed_total: int
    job_failed_total: int
    notifications_dead_total: int


class Uptime(_Document):
    """Since when this process has been running."""

    uptime_seconds: int
    server_started: datetime
    measured_at: datetime


class MetricsDocument(_Document):
    """The metrics of the queue and of certctl's tables."""

    gauge: Gauges
    counter: Counters
    uptime: Uptime


def metrics_document(snapshot: Snapshot) -> MetricsDocument:
    """`snapshot` as JSON."""
    counts = snapshot.summary or DashboardSummary(completed_at=snapshot.at)
    return MetricsDocument(
        gauge=Gauges(
            certificate_total=counts.total_certificates,
            certificate_active=counts.active_certificates,
            certificate_expiring_soon=counts.expiring_certificates,
            certificate_expired=counts.expired_certificates,
            certificate_revoked=counts.revoked_certificates,
            agent_total=counts.total_agents,
            agent_online=counts.active_agents,
            job_pending=counts.pending_jobs,
        ),
        counter=Counters(
            job_completed_total=counts.complete_jobs,
            job_failed_total=counts.failed_jobs,
            notifications_dead_total=counts.notifications_dead,
        ),
        uptime=Uptime(
            uptime_seconds=int(snapshot.uptime_seconds),
            server_started=snapshot.at - timedelta(seconds=snapshot.uptime_seconds),
            measured_at=snapshot.at,
        ),
    )
