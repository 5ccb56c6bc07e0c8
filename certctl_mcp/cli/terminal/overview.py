"""The summary and the list of channels, each on one screen."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from certctl_mcp.cli.terminal.documents import Summary
from certctl_mcp.cli.terminal.output import distance, key_value_table, one_line, status_text, when
from certctl_mcp.services.channels import ChannelHealth
from certctl_mcp.services.dashboard import DashboardSummary
from certctl_mcp.services.limitations import LIMITATION_TEXTS
from certctl_mcp.services.next_steps import moment
from certctl_mcp.text.untrusted import EXCERPT_LENGTH
from storage.models import ChannelClosure, ChannelRecord, Closure


def summary_tables(summary: Summary) -> RenderableType:
    off = (Text(f"Off: {LIMITATION_TEXTS[reason]}", style="yellow") for reason in summary.off)
    place = key_value_table()
    place.add_row("Database", one_line(summary.database))
    if summary.delivery is not None:
        place.add_row("Delivery", Text(summary.delivery))
    return Group(place, "", _queue(summary), "", _fleet(summary), *off)


def channel_table(channels: Sequence[ChannelHealth], now: datetime) -> Table:
    """Each channel by name, with its destination and the results of its attempts."""
    rows = key_value_table()
    for channel in channels:
        serving = Text(
            f"delivered by {channel.processes} running {'process' if channel.processes == 1 else 'processes'}"
            if channel.processes
            else "no running process delivers"
        )
        closed = () if channel.closed is None else (closure_line(channel.closed),)
        attempts = _attempt_summary(channel.record, now)
        rows.add_row(
            one_line(channel.name), Group(one_line(channel.destination), *closed, serving, *attempts)
        )
    return rows


_CLOSED = {
    Closure.PAUSED: "paused until {until}",
    Closure.TOLD_TO_WAIT: "the receiver asked to wait until {until}",
    Closure.HELD: "held during an outage since {since}, next probe at {until}",
    Closure.RATE_LIMITED: "at its rate limit until {until}",
}


def closure_line(closure: ChannelClosure) -> Text:
    """Why nothing is sent over a channel, until when, and how many notifications are waiting."""
    since = "" if closure.since is None else moment(closure.since)
    line = Text(_CLOSED[closure.state].format(until=moment(closure.until), since=since), style="yellow")
    line.append(f"; {closure.waiting} waiting")
    if closure.by is not None:
        line.append("; by ").append_text(one_line(closure.by, EXCERPT_LENGTH))
    said = closure.reason or closure.error
    if said is not None:
        line.append(": ").append_text(one_line(said, EXCERPT_LENGTH))
    return line


def _attempt_summary(record: ChannelRecord | None, now: datetime) -> Iterator[Text]:
    if record is None:
        yield Text(
            "nothing attempted in the last 24 hours; certctl-mcp doctor checks the connection", style="dim"
        )
        return
    counts = (f"{count} {outcome.value}" for outcome, count in record.outcomes.items() if count)
    last = f"; last sent {distance(record.last_sent_at, now)}" if record.last_sent_at else ""
    yield Text(f"attempts in the last 24 hours: {', '.join(counts)}{last}")
    if record.last_failed_at is not None:
        yield Text(f"last failure {distance(record.last_failed_at, now)}: ") + one_line(
            record.last_error, EXCERPT_LENGTH
        )


def _queue(summary: DashboardSummary) -> Table:
    now = summary.completed_at
    facts = key_value_table()
    if "notifications" in summary.unreadable:
        facts.add_row("Notifications", Text("can't be read", style="red"))
        return facts
    facts.add_row("Notifications", Text(str(sum(summary.notifications.values()))))
    for status, number in summary.notifications.items():
        count = Text(str(number))
        facts.add_row(Text("  ").append_text(status_text(status.value)), count)
    facts.add_row("Sent, not delivered", Text(str(summary.notifications_undelivered)))
    facts.add_row("Delivering processes", Text(str(summary.processes_alive)))
    if summary.waiting_unserved:
        warning = f"{summary.waiting_unserved} waiting for a channel that no running process has"
        facts.add_row("Nobody delivers", Text(warning, style="red"))
    if summary.notifications_stuck:
        warning = (
            f"{summary.notifications_stuck}: certctl's server left them undelivered, "
            "and nothing attempts them again"
        )
        facts.add_row("Stuck", Text(warning, style="red"))
    if summary.channels_closed:
        closed = f"{summary.channels_closed}; certctl-mcp channels shows why"
        facts.add_row("Closed channels", Text(closed, style="yellow"))
    facts.add_row("Oldest dead letter", when(summary.oldest_dead_at, now))
    facts.add_row("Next retry", when(summary.next_retry_at, now))
    return facts


def _fleet(summary: DashboardSummary) -> Table:
    facts = key_value_table()
    for part, counts in (
        (
            "certificates",
            f"{summary.total_certificates}: {summary.expiring_certificates} expiring within 30 days, "
            f"{summary.expired_certificates} expired, {summary.revoked_certificates} revoked",
        ),
        (
            "agents",
            f"{summary.total_agents}: {summary.active_agents} active, {summary.offline_agents} offline",
        ),
        (
            "jobs",
            f"{summary.pending_jobs} pending, {summary.failed_jobs} failed, {summary.complete_jobs} complete",
        ),
    ):
        unreadable = part in summary.unreadable
        facts.add_row(part.capitalize(), Text("not in this database" if unreadable else counts))
    return facts
