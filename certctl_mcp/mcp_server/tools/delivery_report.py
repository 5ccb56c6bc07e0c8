"""The tool that reports on the deliveries of a period, as numbers and on request as a chart."""

import base64
import importlib.util
from datetime import datetime, timedelta
from typing import Annotated, NotRequired

import anyio.to_thread
from mcp_types import CallToolResult, ImageContent
from pydantic import Field
from typing_extensions import TypedDict

from certctl_mcp.config.durations import format_duration
from certctl_mcp.mcp_server.tools.arguments import ArgumentError, moment_argument
from certctl_mcp.mcp_server.tools.results import ToolContext, answer
from certctl_mcp.mcp_server.tools.rows import Moment, UntrustedChannel, iso
from certctl_mcp.mcp_server.tools.text_chart import text_chart
from certctl_mcp.services.alert_outcomes import AlertOutcomes, alert_outcomes
from certctl_mcp.services.errors import quoted
from certctl_mcp.services.moments import parse_age
from certctl_mcp.services.periods import LONGEST_PERIOD, Period, Timeline, timeline_of
from certctl_mcp.text.untrusted import clean_name
from storage.models import Deliveries, DeliveryFigures

MAX_CHANNELS = 25
"""The most channels in a report, because notifications may name any number."""

TIMELINE = "certctl/timeline"
"""The key in a result's `_meta` under which the page finds the steps of the chart."""

_SHORTEST_PERIOD = timedelta(seconds=1)


class Alerts(TypedDict):
    """The present state of the alerts accepted in the period; counts of zero are left out."""

    delivered: NotRequired[int]
    trying: NotRequired[int]
    dead: NotRequired[int]
    undelivered: NotRequired[int]
    settled: NotRequired[int]


class Figures(TypedDict):
    """The outcomes of the attempts begun in the period.

    Counts of zero are left out, as are the times if nothing was delivered. The tool's description explains
    the figures.
    """

    attempts: int
    delivered: NotRequired[int]
    success_rate: NotRequired[float]
    retries: NotRequired[int]
    failed: NotRequired[int]
    told_to_wait: NotRequired[int]
    died: NotRequired[int]
    skipped: NotRequired[int]
    abandoned: NotRequired[int]
    median_seconds: NotRequired[float]
    p95_seconds: NotRequired[float]


class ChannelFigures(Figures):
    """The attempts of one channel."""

    untrusted: UntrustedChannel


class DeliveryReport(TypedDict):
    """How deliveries went.

    It is not used as an output schema: a result with an image has no structured content, because some hosts
    show only one of the two.
    """

    since: Moment
    until: Moment
    note: NotRequired[str]
    alerts: Alerts
    all: Figures
    channels: list[ChannelFigures]
    """Most attempts first."""
    more_channels: NotRequired[int]
    """How many channels are not shown."""
    chart: NotRequired[str]


async def delivery_report(
    ctx: ToolContext,
    period: Annotated[str, Field(description="How long, such as 90m, 24h, 7d; at most 366d.")] = "24h",
    until: Annotated[
        str | None, Field(description="Its end: ISO 8601 (UTC), or how long ago; default now.")
    ] = None,
    chart: Annotated[bool, Field(description="Also a text chart.")] = False,
) -> CallToolResult:
    """How deliveries went over a period: its alerts now, and its attempts, per channel too. Absent: 0.

    success_rate: delivered per attempt. failed: retried later. died: became dead letters. skipped: no
    notifier, NOT delivered. abandoned: no outcome. seconds: acceptance to delivery. For the state now use
    dashboard_summary. Example: {"period": "7d", "until": "7d"}: last week.
    """
    opening = ctx.request_context.lifespan_context
    wanted = _period(period, until, opening.clock())
    application = await opening.application()
    repository = application.repository
    deliveries = await repository.delivery_figures(wanted.since, wanted.until)
    report = _report(wanted, deliveries, await alert_outcomes(repository, wanted))
    if note := await application.notifications.channels.sent_by_certctl(wanted.since, wanted.until):
        report["note"] = note
    if not chart or not deliveries.overall.attempts:
        return answer(report)
    timeline = await timeline_of(repository, wanted)
    report["chart"] = text_chart(timeline)
    result = answer(report)
    meta = {**(result.meta or {}), TIMELINE: _steps(timeline)}
    image = await anyio.to_thread.run_sync(_image, timeline)
    if image is None:
        return result.model_copy(update={"meta": meta})
    return CallToolResult(content=[*result.content, image], _meta=meta)


def _period(given: str, until: str | None, now: datetime) -> Period:
    """Raises: ArgumentError: it is not a period, or it lies in the future."""
    end = now if until is None else moment_argument("until", until, now)
    written = given.strip()
    try:
        length = parse_age(written)
        if not _SHORTEST_PERIOD <= length <= LONGEST_PERIOD:
            raise ValueError
    except (ValueError, OverflowError):
        raise ArgumentError(
            f"period: {quoted(given)} is not a period; give a duration such as 90m, 24h or 7d, "
            f"from {format_duration(_SHORTEST_PERIOD)} to {format_duration(LONGEST_PERIOD)}"
        ) from None
    try:
        begin = end - length
    except OverflowError:
        raise ArgumentError(
            f"until: there is no moment {format_duration(length)} before {iso(end)}"
        ) from None
    if begin >= now:
        raise ArgumentError(
            f"until: the {format_duration(length)} before {iso(end)} is in the future; it is now {iso(now)}; "
            "leave it out for a period that ends now"
        )
    return Period(begin, end)


def _steps(timeline: Timeline) -> dict[str, object]:
    """The data from which the page draws its own chart; models get the text chart."""
    period = timeline.period
    return {
        "step_seconds": period.step.total_seconds(),
        "steps": [{"begins_at": iso(step.begins_at), **step.outcomes} for step in timeline.steps],
    }


def _report(period: Period, deliveries: Deliveries, outcomes: AlertOutcomes) -> DeliveryReport:
    channels = list(deliveries.by_channel.items())
    report: DeliveryReport = {
        "since": iso(period.since),
        "until": iso(period.until),
        "alerts": _alerts(outcomes),
        "all": _figures(deliveries.overall),
        "channels": [
            {**_figures(figures), "untrusted": {"channel": clean_name(name)}}
            for name, figures in channels[:MAX_CHANNELS]
        ],
    }
    if not channels:
        report["note"] = "No attempt began in this period."
    if len(channels) > MAX_CHANNELS:
        report["more_channels"] = len(channels) - MAX_CHANNELS
    return report


def _alerts(outcomes: AlertOutcomes) -> Alerts:
    alerts: Alerts = {}
    if outcomes.delivered:
        alerts["delivered"] = outcomes.delivered
    if outcomes.trying:
        alerts["trying"] = outcomes.trying
    if outcomes.dead:
        alerts["dead"] = outcomes.dead
    if outcomes.undelivered:
        alerts["undelivered"] = outcomes.undelivered
    if outcomes.settled:
        alerts["settled"] = outcomes.settled
    return alerts


def _figures(counted: DeliveryFigures) -> Figures:
    figures: Figures = {"attempts": counted.attempts}
    if counted.attempts:
        figures["delivered"] = counted.delivered
        # Rounded down: all were delivered only if all were.
        figures["success_rate"] = counted.delivered * 1000 // counted.attempts / 1000
    if counted.retries:
        figures["retries"] = counted.retries
    if counted.failed:
        figures["failed"] = counted.failed
    if counted.told_to_wait:
        figures["told_to_wait"] = counted.told_to_wait
    if counted.died:
        figures["died"] = counted.died
    if counted.skipped:
        figures["skipped"] = counted.skipped
    if counted.abandoned:
        figures["abandoned"] = counted.abandoned
    if counted.median is not None:
        figures["median_seconds"] = _seconds(counted.median)
    if counted.p95 is not None:
        figures["p95_seconds"] = _seconds(counted.p95)
    return figures


def _seconds(duration: timedelta) -> float:
    """The seconds, with three significant digits."""
    return float(f"{duration.total_seconds():.3g}")


def _image(timeline: Timeline) -> ImageContent | None:
    """Add the chart as an image, if the extra `chart` is installed."""
    if importlib.util.find_spec("PIL") is None:
        return None
    from certctl_mcp.mcp_server.tools.chart import chart

    return ImageContent(data=base64.b64encode(chart(timeline)).decode(), mime_type="image/png")
