"""Under which names and types does Prometheus see a reading? certctl's, and correctly typed ones beside them.

What could not be read is left out: a zero would look like good news.
"""

import math
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    UnknownMetricFamily,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from certctl_mcp import __version__
from certctl_mcp.delivery.metrics import AttemptMeter, Durations
from certctl_mcp.http.monitoring.requests import Traffic
from certctl_mcp.services.dashboard import DashboardSummary
from storage.models import AttemptOutcome
from storage.queries.backlog import Backlog

UNRECORDED = "unrecorded"
"""The outcome of attempts whose outcome came too late or could not be written."""

_OUTCOMES: Mapping[str, AttemptOutcome | None] = {
    # A worker that never answers counts nothing.
    **{outcome.value: outcome for outcome in AttemptOutcome if outcome is not AttemptOutcome.ABANDONED},
    UNRECORDED: None,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a process knows at one moment; None of what it could not find out."""

    at: datetime
    uptime_seconds: float
    summary: DashboardSummary | None = None
    backlog: Backlog | None = None
    attempts: AttemptMeter | None = None
    traffic: Traffic | None = None

    def could_read(self, part: str) -> bool:
        return self.summary is not None and part not in self.summary.unreadable


@dataclass(frozen=True, slots=True)
class Exposition:
    """A scrape's answer."""

    body: bytes
    content_type: str


def expose(reading: Reading, accept: str) -> Exposition:
    """The reading in the format that the header `Accept` asks for, or else as plain text."""
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):
        # The version that the client wants is none.
        encode, content_type = choose_encoder("")
    return Exposition(encode(_Collected(reading)), content_type)


class _Collected(Collector):
    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterable[Metric]:
        for part in (_process, _fleet, _queue, _backlog, _attempts, _traffic):
            yield from part(self._reading)
        yield from _PROCESS.collect()


_PROCESS = ProcessCollector(registry=None)


def _process(reading: Reading) -> Iterator[Metric]:
    build = {"version": __version__, "python": platform.python_version()}
    yield InfoMetricFamily("certctl_build", "What this process runs.", value=build)
    yield GaugeMetricFamily("certctl_uptime_seconds", "Server uptime in seconds.", reading.uptime_seconds)
    up = reading.could_read("notifications")
    yield GaugeMetricFamily(
        "certctl_database_up", "Whether this process could read the queue for this scrape: 1, or else 0.", up
    )


_Typed = Callable[[str, str, float], Metric]

# certctl calls the first and the last of these gauges, which by Prometheus' rules must not end in _total.
_CERTIFICATES: tuple[tuple[_Typed, str, str, Callable[[DashboardSummary], int]], ...] = (
    (
        UnknownMetricFamily,
        "certctl_certificate_total",
        "Total number of managed certificates.",
        lambda s: s.total_certificates,
    ),
    (
        GaugeMetricFamily,
        "certctl_certificate_active",
        "Number of active (non-expiring, non-expired, non-revoked) certificates.",
        lambda s: (
            s.total_certificates - s.expiring_certificates - s.expired_certificates - s.revoked_certificates
        ),
    ),
    (
        GaugeMetricFamily,
        "certctl_certificate_expiring_soon",
        "Number of certificates expiring within 30 days.",
        lambda s: s.expiring_certificates,
    ),
    (
        GaugeMetricFamily,
        "certctl_certificate_expired",
        "Number of expired certificates.",
        lambda s: s.expired_certificates,
    ),
    (
        GaugeMetricFamily,
        "certctl_certificate_revoked",
        "Number of revoked certificates.",
        lambda s: s.revoked_certificates,
    ),
)
_AGENTS: tuple[tuple[_Typed, str, str, Callable[[DashboardSummary], int]], ...] = (
    (
        UnknownMetricFamily,
        "certctl_agent_total",
        "Total number of registered agents.",
        lambda s: s.total_agents,
    ),
    (
        GaugeMetricFamily,
        "certctl_agent_online",
        "Number of agents currently online.",
        lambda s: s.active_agents,
    ),
)
_JOBS: tuple[tuple[_Typed, str, str, Callable[[DashboardSummary], int]], ...] = (
    (
        GaugeMetricFamily,
        "certctl_job_pending",
        "Number of jobs currently pending.",
        lambda s: s.pending_jobs,
    ),
    (
        CounterMetricFamily,
        "certctl_job_completed_total",
        "Total number of completed jobs.",
        lambda s: s.complete_jobs,
    ),
    (
        CounterMetricFamily,
        "certctl_job_failed_total",
        "Total number of failed jobs.",
        lambda s: s.failed_jobs,
    ),
)
_FLEET = {"certificates": _CERTIFICATES, "agents": _AGENTS, "jobs": _JOBS}


def _fleet(reading: Reading) -> Iterator[Metric]:
    """What certctl's own endpoint says of it, from certctl's own tables where they are."""
    for part, families in _FLEET.items():
        if reading.summary is not None and reading.could_read(part):
            for typed, name, told, value in families:
                yield typed(name, told, value(reading.summary))


def _queue(reading: Reading) -> Iterator[Metric]:
    summary = reading.summary
    if summary is None or not reading.could_read("notifications"):
        return
    yield CounterMetricFamily(
        "certctl_notification_dead_total",
        "Number of notifications in the dead-letter queue. Falls when they are requeued; "
        'see certctl_notifications{status="dead"}.',
        summary.notifications_dead,
    )
    by_status = GaugeMetricFamily("certctl_notifications", "Notifications by status.", labels=["status"])
    for status, count in summary.notifications.items():
        by_status.add_metric([status.value], count)
    yield by_status
    yield GaugeMetricFamily(
        "certctl_notifications_undelivered",
        "Notifications that count as done though nothing was delivered, for want of a notifier.",
        summary.notifications_undelivered,
    )
    yield GaugeMetricFamily(
        "certctl_notification_oldest_dead_age_seconds",
        "Time since the oldest dead letter was accepted; 0 where there is none.",
        _age(summary.oldest_dead_at, reading.at),
    )


def _backlog(reading: Reading) -> Iterator[Metric]:
    if reading.backlog is not None:
        yield GaugeMetricFamily(
            "certctl_notification_oldest_due_age_seconds",
            "How long the notification that waits longest has been due; 0 where none is due.",
            _age(reading.backlog.oldest_due_at, reading.at),
        )
        yield GaugeMetricFamily(
            "certctl_notification_leases_held",
            "Notifications whose attempt is under way, in any process that shares the database.",
            reading.backlog.leases_held,
        )


def _attempts(reading: Reading) -> Iterator[Metric]:
    meter = reading.attempts
    if meter is None:
        return
    ended = CounterMetricFamily(
        "certctl_notification_attempts",
        "Attempts that have ended in this process. failed: is tried again; dead: was the last; skipped: "
        "no notifier for the channel; unrecorded: answered, but too late to count. Channels that are not "
        "configured are counted as other.",
        labels=["channel", "outcome"],
    )
    took = HistogramMetricFamily(
        "certctl_notification_attempt_duration_seconds",
        "How long receivers took, whatever they answered.",
        labels=["channel"],
    )
    for channel, durations in meter.durations.items():
        for label, outcome in _OUTCOMES.items():
            ended.add_metric([channel, label], meter.count(channel, outcome))
        _add(took, channel, durations)
    yield ended
    yield took


def _traffic(reading: Reading) -> Iterator[Metric]:
    if reading.traffic is None:
        return
    answered = CounterMetricFamily(
        "certctl_http_requests",
        "Requests that this process has answered; code 0: the client went away before.",
        labels=["route", "method", "code"],
    )
    for (route, method, status), count in sorted(reading.traffic.answered.items()):
        answered.add_metric([route, method, str(status)], count)
    took = HistogramMetricFamily(
        "certctl_http_request_duration_seconds",
        "Time from a request to the end of its answer; at /mcp, some answers are streams of events.",
        labels=["route"],
    )
    for route, durations in sorted(reading.traffic.durations.items()):
        _add(took, route, durations)
    yield answered
    yield took


def _add(family: HistogramMetricFamily, label: str, durations: Durations) -> None:
    buckets = [
        ("+Inf" if math.isinf(bound) else str(float(bound)), float(count))
        for bound, count in durations.cumulative()
    ]
    family.add_metric([label], buckets, durations.total_seconds)


def _age(since: datetime | None, now: datetime) -> float:
    return 0 if since is None else max(0.0, (now - since).total_seconds())
