"""The output of a delivery report: a row for each channel, and one for all."""

from collections.abc import Iterator
from datetime import timedelta

from pydantic import AwareDatetime
from rich.console import Group, RenderableType
from rich.text import Text

from certctl_mcp.cli.terminal.columns import columns
from certctl_mcp.cli.terminal.output import one_line
from certctl_mcp.services.next_steps import moment
from storage.models import Deliveries, DeliveryFigures

_HEADINGS = ("CHANNEL", "ATTEMPTS", "DELIVERED", "RETRIED", "DIED", "SKIPPED", "ABANDONED", "MEDIAN", "P95")


class DeliveryReport(Deliveries):
    """The outcomes of the attempts that began in a period."""

    since: AwareDatetime
    until: AwareDatetime


def delivery_table(report: DeliveryReport) -> RenderableType:
    heading = Text(f"Attempts from {moment(report.since)} to {moment(report.until)}")
    if not report.by_channel:
        return Group(heading, Text("none"))
    rows = [list(_row(one_line(channel, 30), figures)) for channel, figures in report.by_channel.items()]
    rows.append(list(_row(Text("all"), report.overall)))
    return Group(heading, *columns(_HEADINGS, rows))


def _row(channel: Text, figures: DeliveryFigures) -> Iterator[Text]:
    yield channel
    for count in (
        figures.attempts,
        figures.delivered,
        figures.failed,
        figures.died,
        figures.skipped,
        figures.abandoned,
    ):
        yield Text(str(count))
    yield _seconds(figures.median)
    yield _seconds(figures.p95)


def _seconds(duration: timedelta | None) -> Text:
    return Text("-" if duration is None else f"{duration.total_seconds():.3g} s")
