"""The list of notifications: a row for each, on two lines where the terminal is narrow."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from certctl_mcp.cli.terminal.output import distance, identifier, one_line, status_text, table, when
from certctl_mcp.text.untrusted import EXCERPT_LENGTH
from storage.models import Notification, NotificationStatus

WIDE = 165
"""Columns from which on a row fits on one line: an id alone takes 42."""


def notification_rows(found: Sequence[Notification], now: datetime, width: int) -> RenderableType:
    """The notifications for an output of `width` columns."""
    if width >= WIDE:
        return _one_line_each(found, now)
    return Group(*(_two_lines(notification, now, width) for notification in found))


def status_of(notification: Notification) -> Text:
    """The status, which alone would let a notification that reached nobody pass for delivered."""
    if notification.status is NotificationStatus.SENT and not notification.delivered:
        return Text("sent (not delivered)", style="yellow")
    return status_text(notification.status.value)


def _one_line_each(found: Sequence[Notification], now: datetime) -> Table:
    rows = table("ID", "STATUS", "CHANNEL", "TYPE", "ACCEPTED", "WHAT")
    for n in found:
        rows.add_row(
            identifier(n.id),
            status_of(n),
            one_line(n.channel, 30),
            one_line(n.type, 30),
            when(n.created_at, now),
            _what(n),
        )
    return rows


def _two_lines(n: Notification, now: datetime, width: int) -> RenderableType:
    first = Text("  ").join(
        (identifier(n.id), status_of(n), one_line(n.channel, 30), Text(distance(n.created_at, now)))
    )
    second = Text(": ").join((one_line(n.type, 30), _what(n)))
    second.truncate(width - 2, overflow="ellipsis")
    return Group(first, Padding(second, (0, 0, 0, 2), style="dim"))


def _what(n: Notification) -> Text:
    """Why it is not delivered, if something is known of that, or else what it says."""
    undelivered = n.status in (NotificationStatus.FAILED, NotificationStatus.DEAD)
    return one_line(n.error or (n.last_error if undelivered else None) or n.message, EXCERPT_LENGTH)
