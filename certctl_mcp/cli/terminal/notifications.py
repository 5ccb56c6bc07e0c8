"""The list of notifications: a row for each, on two lines if the terminal is narrow."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from certctl_mcp.cli.terminal.columns import columns
from certctl_mcp.cli.terminal.output import distance, identifier, one_line, status_text, when
from certctl_mcp.text.untrusted import EXCERPT_LENGTH
from storage.models import Notification, NotificationStatus

WIDE = 165
MEDIUM = 110
"""Columns from which a row fits on one line; from the first on, with its type and the whole date."""

_NAME = 30
_SHORT_NAME = 20


def notification_rows(
    found: Sequence[Notification], now: datetime, width: int, *, headings: bool = True
) -> RenderableType:
    """The notifications for an output of `width` columns."""
    if width >= WIDE:
        lines = columns(
            ("ID", "STATUS", "CHANNEL", "CERTIFICATE", "TYPE", "ACCEPTED", "WHAT"),
            [
                (
                    identifier(n.id),
                    status_of(n),
                    one_line(n.channel, _NAME),
                    one_line(n.certificate_id, _NAME),
                    one_line(n.type, _NAME),
                    when(n.created_at, now),
                    _error_or_message(n),
                )
                for n in found
            ],
        )
    elif width >= MEDIUM:
        lines = columns(
            ("ID", "STATUS", "CHANNEL", "CERTIFICATE", "AGE", "WHAT"),
            [
                (
                    identifier(n.id),
                    status_of(n),
                    one_line(n.channel, _SHORT_NAME),
                    one_line(n.certificate_id, _SHORT_NAME),
                    Text(distance(n.created_at, now)),
                    _error_or_message(n),
                )
                for n in found
            ],
        )
    else:
        return _on_two_lines(found, now, width, headings)
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Group(*lines[not headings :])


def status_of(notification: Notification) -> Text:
    """The status, with a note if it alone would make an undelivered notification look delivered."""
    if notification.status is NotificationStatus.SENT and not notification.delivered:
        return Text("sent (not delivered)", style="yellow")
    if notification.foreign_status is not None:
        return one_line(notification.foreign_status, _SHORT_NAME)
    return status_text(notification.status.value)


def _on_two_lines(found: Sequence[Notification], now: datetime, width: int, headings: bool) -> RenderableType:
    """A row that identifies the notification, and below it what it is about."""
    cells = [
        (identifier(n.id), status_of(n), one_line(n.channel, _SHORT_NAME), Text(distance(n.created_at, now)))
        for n in found
    ]
    heading, *firsts = columns(("ID", "STATUS", "CHANNEL", "AGE"), cells)
    lines = [heading, Text("  CERTIFICATE  TYPE: WHAT", style="bold")] if headings else []
    for n, first in zip(found, firsts, strict=True):
        about = Text(": ").join((one_line(n.type, _NAME), _error_or_message(n)))
        second = Text("  ").join((Text(), one_line(n.certificate_id, _NAME), about))
        second.stylize("dim")
        second.truncate(width, overflow="ellipsis")
        lines += [first, second]
    return Group(*lines)


def _error_or_message(n: Notification) -> Text:
    """Why it has not been delivered, if that is known, otherwise its message."""
    undelivered = n.status in (NotificationStatus.FAILED, NotificationStatus.DEAD)
    return one_line(n.error or (n.last_error if undelivered else None) or n.message, EXCERPT_LENGTH)
