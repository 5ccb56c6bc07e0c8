"""The Prometheus exposition of a snapshot: certctl's metric names, and correctly typed ones beside them.

What could not be read is left out: a zero would look like good news.
"""

import math
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import product

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
from certctl_mcp.delivery.metrics import OTHER, AttemptMeter, Durations, SuccessorMeter
from certctl_mcp.delivery.retention import Retention
from certctl_mcp.http.monitoring.requests import RequestMetrics
from certctl_mcp.mcp_server.call_meter import CallMeter, CallOutcome
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.services.dashboard import DashboardSummary
from storage.models import AttemptOutcome, ChannelClosure, Closure
from storage.queries.backlog import Backlog

UNRECORDED = "unrecorded"
"""The label for attempts whose outcome came too late or could not be written."""

# Abandoned attempts are found by another process, which did not make them.
_WITHOUT_KIND: Mapping[str, AttemptOutcome | None] = {
    AttemptOutcome.SENT.value: AttemptOutcome.SENT,
    AttemptOutcome.SKIPPED.value: AttemptOutcome.SKIPPED,
    UNRECORDED: None,
}
_FAILURES = (AttemptOutcome.FAILED, AttemptOutcome.DEAD)
_KINDS = tuple(kind for kind in FailureKind if kind is not FailureKind.ABANDONED)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a process knows at one moment; None for what could not be read."""

    at: datetime
    uptime_seconds: float
    summary: DashboardSummary | None = None
    backlog: Backlog | None = None
    attempts: AttemptMeter | None = None
    requests: RequestMetrics | None = None
    calls: CallMeter | None = None
    closures: tuple[ChannelClosure, ...] | None = None
    successors: SuccessorMeter | None = None
    retention: Retention | None = None
    """None if this process deletes nothing by itself."""

    def was_read(self, part: str) -> bool:
        return self.summary is not None and part not in self.summary.unreadable


@dataclass(frozen=True, slots=True)
class Exposition:
    """The response to a scrape."""

    body: bytes
    content_type: str


def expose(snapshot: Snapshot, accept: str) -> Exposition:
    """The snapshot in the format that the `Accept` header asks for, or as plain text."""
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):
        # The Accept header names an invalid version.
        encode, content_type = choose_encoder("")
    strict = content_type.startswith("application/openmetrics-text")
    return Exposition(encode(_Collected(snapshot, strict=strict)), content_type)


class _Collected(Collector):
    def __init__(self, snapshot: Snapshot, *, strict: bool) -> None:
        self._snapshot = snapshot
        self._strict = strict

    def collect(self) -> Iterable[Metric]:
        yield from _process(self._snapshot)
        yield from _fleet(self._snapshot, strict=self._strict)
        for part in (_queue, _backlog, _attempts, _channels, _successors, _retention, _requests, _calls):
            yield from part(self._snapshot)
        yield from _PROCESS.collect()


_PROCESS = ProcessCollector(registry=None)


def _process(snapshot: Snapshot) -> Iterator[Metric]:
    build = {"version": __version__, "python": platform.python_version()}
    yield InfoMetricFamily("certctl_build", "The version of this process.", value=build)
    yield GaugeMetricFamily("certctl_uptime_seconds", "Server uptime in seconds.", snapshot.uptime_seconds)
    up = snapshot.was_read("notifications")
    yield GaugeMetricFamily(
        "certctl_database_up", "1 if this process could read the queue for this scrape, otherwise 0.", up
    )


_Typed = Callable[[str, str, float], Metric]

_CERTIFICATES: tuple[tuple[_Typed, str, str, Callable[[DashboardSummary], int]], ...] = (
    (
        GaugeMetricFamily,
        "certctl_certificate_total",
        "Total number of managed certificates.",
        lambda s: s.total_certificates,
    ),
    (
        GaugeMetricFamily,
        "certctl_certificate_active",
        "Number of active (non-expiring, non-expired, non-revoked) certificates.",
        lambda s: s.active_certificates,
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
        GaugeMetricFamily,
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


def _fleet(snapshot: Snapshot, *, strict: bool) -> Iterator[Metric]:
    """What certctl's own endpoint exposes, if the database has certctl's tables.

    `strict`: in OpenMetrics, where the name of a gauge must not end in _total.
    """
    for part, families in _FLEET.items():
        if snapshot.summary is not None and snapshot.was_read(part):
            for typed, name, description, value in families:
                if strict and typed is GaugeMetricFamily and name.endswith("_total"):
                    typed = UnknownMetricFamily
                yield typed(name, description, value(snapshot.summary))


def _queue(snapshot: Snapshot) -> Iterator[Metric]:
    summary = snapshot.summary
    if summary is None or not snapshot.was_read("notifications"):
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
        "Notifications that count as sent although nothing was delivered: their channel had no notifier.",
        summary.notifications_undelivered,
    )
    yield GaugeMetricFamily(
        "certctl_notification_processes_alive",
        "Running processes that deliver, among those that share the database.",
        summary.processes_alive,
    )
    yield GaugeMetricFamily(
        "certctl_notifications_unserved",
        "Notifications that wait for a channel that no running process has.",
        summary.waiting_unserved,
    )
    yield GaugeMetricFamily(
        "certctl_notifications_stuck",
        "Notifications that certctl's server has left undelivered and that nothing takes over.",
        summary.notifications_stuck,
    )
    yield GaugeMetricFamily(
        "certctl_notification_oldest_dead_age_seconds",
        "Time since the oldest dead letter was accepted; 0 if there is none.",
        _age(summary.oldest_dead_at, snapshot.at),
    )


def _backlog(snapshot: Snapshot) -> Iterator[Metric]:
    if snapshot.backlog is not None:
        yield GaugeMetricFamily(
            "certctl_notification_oldest_due_age_seconds",
            "How long the oldest due notification has been due; 0 if none is due.",
            _age(snapshot.backlog.oldest_due_at, snapshot.at),
        )
        yield GaugeMetricFamily(
            "certctl_notification_leases_held",
            "Notifications being attempted, in any process that shares the database.",
            snapshot.backlog.leases_held,
        )


def _attempts(snapshot: Snapshot) -> Iterator[Metric]:
    meter = snapshot.attempts
    if meter is None:
        return
    ended = CounterMetricFamily(
        "certctl_notification_attempts",
        "Attempts that have ended in this process. failed: will be retried; dead: the last attempt; "
        "told_to_wait: the receiver refused everything for now, which uses up no attempt; skipped: "
        "the channel has no notifier; unrecorded: the outcome came too late or could not be written. "
        "Channels that are not configured count as other. kind: why a failed or dead attempt failed.",
        labels=["channel", "outcome", "kind"],
    )
    took = HistogramMetricFamily(
        "certctl_notification_attempt_duration_seconds",
        "Duration of attempts, successful or not.",
        labels=["channel"],
    )
    for channel, durations in meter.durations.items():
        for label, outcome in _WITHOUT_KIND.items():
            ended.add_metric([channel, label, ""], meter.count(channel, outcome))
        # Includes series at zero, because Prometheus sees no increase in a series that begins at one.
        for failed, kind in product(_FAILURES, _KINDS):
            ended.add_metric([channel, failed.value, kind.value], meter.failures(channel, failed, kind))
        _add(took, channel, durations)
    yield ended
    yield took


def _channels(snapshot: Snapshot) -> Iterator[Metric]:
    if snapshot.closures is None or snapshot.attempts is None:
        return
    closed = GaugeMetricFamily(
        "certctl_notification_channel_closed",
        "1 while nothing is sent over a channel. paused: by a person; told_to_wait: the receiver asked to "
        "wait; held: an outage, in which single attempts probe it; rate_limited: at its rate limit, with a "
        "backlog.",
        labels=["channel", "state"],
    )
    waiting = GaugeMetricFamily(
        "certctl_notification_channel_waiting",
        "Notifications that wait for a closed channel.",
        labels=["channel"],
    )
    known = snapshot.attempts.durations
    found: dict[str, list[ChannelClosure]] = {channel: [] for channel in known}
    for closure in snapshot.closures:
        found[closure.channel if closure.channel in known else OTHER].append(closure)
    for channel, closures in found.items():
        for state in Closure:
            closed.add_metric([channel, state.value], any(one.state is state for one in closures))
        waiting.add_metric([channel], sum(one.waiting for one in closures))
    yield closed
    yield waiting


def _successors(snapshot: Snapshot) -> Iterator[Metric]:
    if snapshot.successors is None or snapshot.attempts is None:
        return
    yield CounterMetricFamily(
        "certctl_notification_dead_letter_alerts",
        "Alerts about dead letters that this process has accepted: one per channel, cause and window.",
        snapshot.successors.alerts,
    )
    fallbacks = CounterMetricFamily(
        "certctl_notification_fallbacks",
        "Dead letters of another channel that this process has accepted for this channel, its fallback.",
        labels=["channel"],
    )
    for channel in snapshot.attempts.durations.keys() - {OTHER}:
        fallbacks.add_metric([channel], snapshot.successors.fallbacks[channel])
    yield fallbacks


def _retention(snapshot: Snapshot) -> Iterator[Metric]:
    if snapshot.retention is None:
        return
    deleted = CounterMetricFamily(
        "certctl_notification_retention_deleted",
        "Rows that this process has deleted after their retention period: notifications "
        "by status, and audit entries.",
        labels=["kind"],
    )
    for kind, count in snapshot.retention.deleted.items():
        deleted.add_metric([kind.value], count)
    yield deleted
    completed_at = snapshot.retention.completed_at
    yield GaugeMetricFamily(
        "certctl_notification_retention_completed_timestamp_seconds",
        "When this process had last deleted everything that was due; 0 before the first time.",
        0 if completed_at is None else completed_at.timestamp(),
    )


def _requests(snapshot: Snapshot) -> Iterator[Metric]:
    if snapshot.requests is None:
        return
    responses = CounterMetricFamily(
        "certctl_http_requests",
        "Requests to which this process has responded; code 0: the client disconnected first.",
        labels=["route", "method", "code"],
    )
    for (route, method, status), count in sorted(snapshot.requests.responses.items()):
        responses.add_metric([route, method, str(status)], count)
    took = HistogramMetricFamily(
        "certctl_http_request_duration_seconds",
        "Time from a request to the end of its response; at /mcp, some responses are event streams.",
        labels=["route"],
    )
    for route, durations in sorted(snapshot.requests.durations.items()):
        _add(took, route, durations)
    yield responses
    yield took


def _calls(snapshot: Snapshot) -> Iterator[Metric]:
    meter = snapshot.calls
    if meter is None:
        return
    ended = CounterMetricFamily(
        "certctl_mcp_calls",
        "Tool calls that have ended in this process. refused: rejected with an explanation, nothing was "
        "changed; cancelled: the caller no longer waited; failed: see the log.",
        labels=["tool", "outcome"],
    )
    took = HistogramMetricFamily(
        "certctl_mcp_call_duration_seconds", "Duration of tool calls.", labels=["tool"]
    )
    for tool, durations in sorted(meter.durations.items()):
        for outcome in CallOutcome:
            ended.add_metric([tool, outcome.value], meter.count(tool, outcome))
        _add(took, tool, durations)
    yield ended
    yield took


def _add(family: HistogramMetricFamily, label: str, durations: Durations) -> None:
    buckets = [
        ("+Inf" if math.isinf(bound) else str(float(bound)), float(count))
        for bound, count in durations.cumulative()
    ]
    family.add_metric([label], buckets, durations.total_seconds)


def _age(since: datetime | None, now: datetime) -> float:
    return 0 if since is None else max(0.0, (now - since).total_seconds())
