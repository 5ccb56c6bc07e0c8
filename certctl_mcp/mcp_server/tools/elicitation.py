"""The question to the user before many notifications are changed.

Nothing in it comes from outside: counts, statuses, times, and channels by the operator's names.
"""

from collections import Counter
from collections.abc import Set

from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, Field

from certctl_mcp.mcp_server.tools.results import ToolContext
from certctl_mcp.mcp_server.tools.rows import iso
from certctl_mcp.services.bulk import Preview
from certctl_mcp.text.untrusted import escape_hidden
from storage.models import AuditAction

MOST_CHANNELS = 8
"""Channels that are named; the others are counted together."""

_WORDS = {
    AuditAction.REQUEUE: ("Requeue", "They are attempted anew at once, and reach real people."),
    AuditAction.MARK_READ: ("Mark as read", "What was not delivered yet is not delivered any more."),
    AuditAction.PURGE: ("Delete", "They are gone for good, with the record of their attempts."),
}


NOWHERE = "Over channels that are not configured nothing is delivered."


class Consent(BaseModel):
    """What the user answers."""

    confirm: bool = Field(title="Yes, do it", description="Nothing is changed otherwise.")


def can_ask(ctx: ToolContext) -> bool:
    """Does the client put a form before its user, and can it be sent one during this call?"""
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    # Without a mode it is the form, the only one there was when modes were not.
    by_form = elicitation is not None and (elicitation.form is not None or elicitation.url is None)
    return by_form and (ctx.protocol_version in MODERN_PROTOCOL_VERSIONS or ctx.session.can_send_request)


def question(preview: Preview, configured: Set[str]) -> str:
    """The same words as long as nothing has changed: an answer holds for the words that were shown."""
    verb, consequence = _WORDS[preview.action]
    noun = "notification" if preview.count == 1 else "notifications"
    statuses = ", ".join(f"{count:,} {status.value}" for status, count in preview.by_status.most_common())
    channels: Counter[str] = Counter()
    for channel, count in preview.by_channel.items():
        channels[escape_hidden(channel) if channel in configured else "channels that are not configured"] += (
            count
        )
    over = [f"{count:,} over {channel}" for channel, count in channels.most_common(MOST_CHANNELS)]
    if others := sum(count for _, count in channels.most_common()[MOST_CHANNELS:]):
        over.append(f"{others:,} over {len(channels) - MOST_CHANNELS} other channels")
    accepted = f", accepted {span}" if (span := accepted_when(preview)) else ""
    told = f"{verb} {preview.count:,} {noun} ({statuses}){accepted}? {', '.join(over)}. {consequence}"
    return f"{told} {NOWHERE}" if going_nowhere(preview, configured) else told


def going_nowhere(preview: Preview, configured: Set[str]) -> int:
    """How many would be requeued into channels that there are not."""
    if preview.action is not AuditAction.REQUEUE:
        return 0
    return sum(count for channel, count in preview.by_channel.items() if channel not in configured)


def accepted_when(preview: Preview) -> str:
    """Over which time they were accepted; nothing where there are none."""
    if preview.span is None:
        return ""
    oldest, newest = map(iso, preview.span)
    return oldest if oldest == newest else f"{oldest} to {newest}"
