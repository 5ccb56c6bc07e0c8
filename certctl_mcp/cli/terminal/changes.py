"""The output of bulk actions: what would change, what has changed, and why the rest was left unchanged."""

import sys

from certctl_mcp.cli.terminal.documents import BulkPreview, Changes
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format
from certctl_mcp.cli.terminal.output import print_json
from certctl_mcp.services.bulk import Preview
from certctl_mcp.services.next_steps import moment
from certctl_mcp.text.untrusted import clean_name, escape_hidden
from storage.models import AuditAction
from storage.operations.actions import ELIGIBLE

MAX_REASONS = 20
MAX_CHANNELS = 8

_VERBS = {AuditAction.REQUEUE: "Requeue", AuditAction.MARK_READ: "Mark as read", AuditAction.PURGE: "Delete"}


def question(preview: Preview) -> str:
    """Such as `Requeue 3 notifications?`"""
    return f"{_VERBS[preview.action]} {_notifications(preview.count)}?"


def print_preview(preview: Preview, *, json: Format) -> None:
    """What would change, by status and channel, and what would be left unchanged."""
    if json:
        print_json(
            BulkPreview(
                would_change=preview.count,
                by_status=dict(preview.by_status),
                by_channel=dict(preview.by_channel.most_common()),
                sample_ids=preview.sample_ids,
                under_way=preview.left_out.under_way,
                other_status=preview.left_out.other_status,
                remembered=preview.remembered,
            ),
            json,
        )
        return
    print(f"{_notifications(preview.count)} would be {ELIGIBLE[preview.action].done}")
    if preview.span is not None:
        oldest, newest = preview.span
        print(f"  accepted {moment(oldest)} to {moment(newest)}")
    for status, count in preview.by_status.most_common():
        print(f"  {count} {status.value}")
    for channel, count in preview.by_channel.most_common(MAX_CHANNELS):
        print(f"  {count} over {clean_name(' '.join(channel.split()))}")
    if others := preview.by_channel.most_common()[MAX_CHANNELS:]:
        print(f"  {sum(count for _, count in others)} over {len(others)} other channels")
    if preview.kept:
        print(f"  {preview.kept.strip()}")
    if preview.left_out.under_way:
        print(f"  {preview.left_out.under_way} more are being attempted now and would not be changed")


def print_changes(changes: Changes, action: AuditAction, *, json: Format, quiet: bool = False) -> ExitCode:
    """Print the report and return the command's exit code. With `quiet`, only errors are printed."""
    if quiet:
        pass
    elif json:
        print_json(changes, json)
    else:
        counts = [f"{changes.changed} {ELIGIBLE[action].done}"]
        counts += [f"{count} {what}" for count, what in _others(changes) if count]
        print(", ".join(counts))
        for refusal in changes.refused[:MAX_REASONS]:
            print(f"  {escape_hidden(refusal.reason)}", file=sys.stderr)
        if len(changes.refused) > MAX_REASONS:
            print(f"  and {len(changes.refused) - MAX_REASONS} more; --json has them all", file=sys.stderr)
    if changes.failure is not None:
        print(f"certctl-mcp: {escape_hidden(changes.failure)}", file=sys.stderr)
        return ExitCode.DATABASE
    if changes.untouched:
        return ExitCode.INTERRUPTED
    return ExitCode.NOT_DONE if changes.refused else ExitCode.DONE


def _others(changes: Changes) -> tuple[tuple[int, str], ...]:
    return (
        (len(changes.refused), "refused"),
        (changes.skipped, "not changed, because they are being attempted or have changed meanwhile"),
        (changes.unknown, "possibly, because the database failed meanwhile"),
        (changes.untouched, "not reached"),
    )


def _notifications(count: int) -> str:
    return f"{count} notification{'' if count == 1 else 's'}"
