"""The REST API for the report on a period: the present state of its alerts, and the outcomes of its
attempts."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict

from certctl_mcp.http.api.dependencies import Opened, State, may_read
from certctl_mcp.http.api.documents import IfNoneMatch, ResponseDocument, redacted
from certctl_mcp.http.api.parameters import Empty, Moment
from certctl_mcp.http.conditional import document_of, json_response
from certctl_mcp.services.alert_outcomes import alert_outcomes
from certctl_mcp.services.periods import period_between
from storage.models import DeliveryFigures

MAX_CHANNELS = 100

router = APIRouter(prefix="/api/v1/stats")


class ReportQuery(BaseModel):
    """The period, of at most 366 days. As in certctl, other parameters are ignored."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    since: Moment | Empty = ""
    """ISO 8601, or an age such as 7d; the last 24 hours if not given."""
    until: Moment | Empty = ""
    """Exclusive; now if not given."""


class AlertCounts(ResponseDocument):
    """The present state of the alerts accepted in the period."""

    delivered: int
    trying: int
    """Not attempted yet, or to be retried."""
    dead: int
    undelivered: int
    """Count as sent, although nothing was delivered."""
    settled: int
    """Marked as read, delivered or not."""


class Figures(ResponseDocument):
    """The outcomes of the attempts begun in the period."""

    attempts: int
    delivered: int
    failed: int
    """Another attempt was due."""
    told_to_wait: int
    """The receiver asked to wait; this uses up none of the notification's attempts."""
    died: int
    """The notification became a dead letter."""
    skipped: int
    """No notifier was configured, so nothing was delivered."""
    abandoned: int
    """Had no outcome when the lease expired."""
    retries: int
    """Were not their notification's first attempt."""
    median_seconds: float | None = None
    """From acceptance to delivery, rounded by at most 5 %; absent if nothing was delivered."""
    p95_seconds: float | None = None


class ChannelFigures(Figures):
    """The attempts of one channel."""

    channel: str


class DeliveryReport(ResponseDocument):
    """A report on deliveries."""

    since: datetime
    until: datetime
    alerts: AlertCounts
    overall: Figures
    channels: tuple[ChannelFigures, ...]
    """At most 100, those with the most attempts first."""
    note: str | None = None
    """If certctl's server delivers: what these figures leave out."""


@router.get("/deliveries", response_model=DeliveryReport, dependencies=[may_read])
async def get_delivery_report(
    query: Annotated[ReportQuery, Query()], opened: Opened, state: State, if_none_match: IfNoneMatch = None
) -> Response:
    """Get a report on the deliveries of a period, in total and by channel."""
    period = period_between(query.since or "24h", query.until or None, state.opened.clock())
    deliveries = await opened.repository.delivery_figures(period.since, period.until)
    report = DeliveryReport(
        since=period.since,
        until=period.until,
        alerts=AlertCounts(**asdict(await alert_outcomes(opened.repository, period))),
        overall=_figures(deliveries.overall),
        channels=tuple(
            ChannelFigures(channel=redacted(name), **_figures(figures).model_dump())
            for name, figures in list(deliveries.by_channel.items())[:MAX_CHANNELS]
        ),
        note=await opened.notifications.channels.sent_by_certctl(period.since, period.until),
    )
    return json_response(document_of(report, frozenset({"since", "until"})), if_none_match=if_none_match)


def _figures(counted: DeliveryFigures) -> Figures:
    return Figures(
        attempts=counted.attempts,
        delivered=counted.delivered,
        failed=counted.failed,
        told_to_wait=counted.told_to_wait,
        died=counted.died,
        skipped=counted.skipped,
        abandoned=counted.abandoned,
        retries=counted.retries,
        median_seconds=_seconds(counted.median),
        p95_seconds=_seconds(counted.p95),
    )


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else round(duration.total_seconds(), 3)
