"""What is said after several notifications were to be changed? How many were, and why each other was not."""

import sys

from certctl_mcp.cli.terminal.documents import Changes
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.output import print_json
from certctl_mcp.text.untrusted import escape_hidden

MOST_REASONS = 20


def tell_changes(changes: Changes, done: str, *, json: bool) -> ExitCode:
    """Print the account, where `done` is the participle of the change, and give the command's exit code."""
    if json:
        print_json(changes)
    else:
        print(f"{changes.changed} {done}" + "".join(f", {part}" for part in _others(changes)))
        for refusal in changes.refused[:MOST_REASONS]:
            print(f"  {escape_hidden(refusal.reason)}", file=sys.stderr)
        if len(changes.refused) > MOST_REASONS:
            print(f"  and {len(changes.refused) - MOST_REASONS} more; --json has them all", file=sys.stderr)
    if changes.failure is not None:
        print(f"certctl-mcp: {changes.failure}", file=sys.stderr)
        return ExitCode.DATABASE
    if changes.untouched:
        return ExitCode.INTERRUPTED
    return ExitCode.NOT_DONE if changes.refused else ExitCode.DONE


def _others(changes: Changes) -> list[str]:
    counts = (
        (len(changes.refused), "refused"),
        (changes.unknown, "perhaps, for the database failed meanwhile"),
        (changes.untouched, "not come to"),
    )
    return [f"{count} {what}" for count, what in counts if count]
