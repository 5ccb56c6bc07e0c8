"""How do the queue, the fleet and the channels look on one screen?"""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from certctl_mcp.service import ChannelHealth
from certctl_mcp.summary import DashboardSummary
from certctl_mcp.terminal.output import age, one_line, pairs, status_text, table, when
from certctl_mcp.untrusted import EXCERPT
from storage.models import AttemptOutcome, NotificationStatus


def summary_tables(summary: DashboardSummary) -> RenderableType:
    return Group(_queue(summary), "", _fleet(summary))


def channel_rows(channels: Sequence[ChannelHealth], now: datetime) -> Table:
    rows = table("CHANNEL", "DESTINATION", "SENT 24H", "FAILED 24H", "DEAD 24H", "LAST SENT", "LAST ERROR")
    for channel in channels:
        record = channel.record
        outcomes = record.outcomes if record else {}
        last_sent = record.last_sent_at if record else None
        rows.add_row(
            one_line(channel.name),
            Text(channel.destination),
            *(
                Text(str(outcomes.get(outcome, 0)))
                for outcome in (AttemptOutcome.SENT, AttemptOutcome.FAILED, AttemptOutcome.DEAD)
            ),
            Text(f"{age(now - last_sent)} ago" if last_sent else "-"),
            one_line(record.last_error if record else None, EXCERPT),
        )
    return rows


def _queue(summary: DashboardSummary) -> Table:
    now = summary.completed_at
    facts = pairs()
    if "notifications" in summary.unreadable:
        facts.add_row("Notifications", Text("can't be read", style="red"))
        return facts
    facts.add_row("Notifications", Text(str(sum(summary.notifications.values()))))
    for status in NotificationStatus:
        count = Text(str(summary.notifications.get(status, 0)))
        facts.add_row(Text("  ").append_text(status_text(status.value)), count)
    facts.add_row("Sent, not delivered", Text(str(summary.notifications_undelivered)))
    facts.add_row("Oldest dead letter", when(summary.oldest_dead_at, now))
    facts.add_row("Next retry", when(summary.next_retry_at, now))
    return facts


def _fleet(summary: DashboardSummary) -> Table:
    facts = pairs()
    for part, told in (
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
        facts.add_row(part.capitalize(), Text("not in this database" if unreadable else told))
    return facts
