"""Asks the user before many notifications are changed, if the client can put a question to its user.

A question contains nothing from outside: counts, statuses, times, and the operator's names of channels.

Some hosts declare elicitation and then fail it, dismiss it themselves, or never respond. A question that
could not be put to the user is therefore not a refusal: the caller gets a preview with a confirmation
instead, and the client isn't asked again on this connection.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Set
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from enum import Enum, auto

import anyio
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver.resolve import Elicit
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, Field

from certctl_mcp.mcp_server.sdk_internals import connection_state
from certctl_mcp.mcp_server.tools.results import ToolContext
from certctl_mcp.mcp_server.tools.rows import iso
from certctl_mcp.services.bulk import Preview
from certctl_mcp.text.untrusted import escape_hidden
from storage.models import AuditAction

logger = logging.getLogger(__name__)

MAX_CHANNELS = 8
"""The most channels that are named; the others are counted together."""

ANSWER_TIMEOUT = timedelta(seconds=50)
"""How long to wait for the user's answer. Many hosts time out after a minute."""

_UNREACHABLE = "certctl_mcp.user_unreachable"

_WORDS = {
    AuditAction.REQUEUE: ("Requeue", "They are sent again right away, and reach real people."),
    AuditAction.MARK_READ: ("Mark as read", "Those that were not delivered yet never will be."),
    AuditAction.PURGE: ("Delete", "They are deleted permanently, with the record of their attempts."),
}

UNDELIVERABLE = "Over channels that are not configured nothing is delivered."
DELAYED = "Over channels that are paused or held in an outage they go out later."


class Consent(BaseModel):
    """What the user answers."""

    confirm: bool = Field(title="Yes, do it", description="Otherwise nothing is changed.")


class Reply(Enum):
    """The user's answer, as far as it is known."""

    NOT_ASKED = auto()
    AGREED = auto()
    DISAGREED = auto()
    """The form was returned with the box unchecked, so a person has seen it."""
    DECLINED = auto()
    """The client declined. Whether a person saw the question is unknown."""
    UNREACHABLE = auto()
    """The question could not be put to the user: an error, a dismissal, no answer in time."""


_asking_disabled: ContextVar[bool] = ContextVar("asking_disabled", default=False)


@contextmanager
def without_asking() -> Iterator[None]:
    """Within the context no question is asked: `ask` returns that the user is unreachable."""
    token = _asking_disabled.set(True)
    try:
        yield
    finally:
        _asking_disabled.reset(token)


def can_ask(ctx: ToolContext) -> bool:
    """Whether the client shows forms to its user, and can be sent one during this call."""
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    # A client that declares no modes supports forms, which were the only mode originally.
    forms = elicitation is not None and (elicitation.form is not None or elicitation.url is None)
    return forms and (ctx.protocol_version in MODERN_PROTOCOL_VERSIONS or ctx.session.can_send_request)


async def ask(ctx: ToolContext, message: str) -> Elicit[Consent] | Reply:
    """Ask the user, or have the SDK ask. From 2026-07-28 on, it does that with a second round of the call."""
    if not can_ask(ctx):
        return Reply.NOT_ASKED
    if _asking_disabled.get() or connection_state(ctx.session).get(_UNREACHABLE):
        return Reply.UNREACHABLE
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return Elicit(message, Consent)
    reply = Reply.UNREACHABLE
    try:
        with anyio.move_on_after(ANSWER_TIMEOUT.total_seconds()) as timeout:
            reply = reply_in(await ctx.elicit(message, Consent))
        if timeout.cancelled_caught:
            logger.warning("the client did not answer an elicitation within %s", ANSWER_TIMEOUT)
    except (MCPError, ValueError) as failure:
        logger.warning("the client failed an elicitation: %s", failure)
    if reply is Reply.UNREACHABLE:
        connection_state(ctx.session)[_UNREACHABLE] = True
    return reply


def reply_in(outcome: ElicitationResult[Consent]) -> Reply:
    """The reply, from what the SDK returns for a question or for a reply that `ask` returned itself."""
    if isinstance(outcome, AcceptedElicitation):
        # It is typed as the answer's model, but is whatever the resolver returned.
        data: object = outcome.data
        if isinstance(data, Reply):
            return data
        return Reply.AGREED if outcome.data.confirm else Reply.DISAGREED
    return Reply.DECLINED if outcome.action == "decline" else Reply.UNREACHABLE


def question(preview: Preview, configured: Set[str], closed: Set[str]) -> str:
    """The same text as long as nothing changes: an answer is valid only for exactly this question."""
    verb, consequence = _WORDS[preview.action]
    noun = "notification" if preview.count == 1 else "notifications"
    statuses = ", ".join(f"{count:,} {status.value}" for status, count in preview.by_status.most_common())
    channels: Counter[str] = Counter()
    for channel, count in preview.by_channel.items():
        name = escape_hidden(channel) if channel in configured else "channels that are not configured"
        channels[name] += count
    over = [f"{count:,} over {channel}" for channel, count in channels.most_common(MAX_CHANNELS)]
    if others := sum(count for _, count in channels.most_common()[MAX_CHANNELS:]):
        over.append(f"{others:,} over {len(channels) - MAX_CHANNELS} other channels")
    accepted = f", accepted {span}" if (span := acceptance_span(preview)) else ""
    text = f"{verb} {preview.count:,} {noun} ({statuses}){accepted}? {', '.join(over)}. {consequence}"
    if preview.undeliverable(configured):
        text += f" {UNDELIVERABLE}"
    if preview.delayed(closed):
        text += f" {DELAYED}"
    return text


def acceptance_span(preview: Preview) -> str:
    """When the notifications were accepted; empty if there are none."""
    if preview.span is None:
        return ""
    oldest, newest = map(iso, preview.span)
    return oldest if oldest == newest else f"{oldest} to {newest}"
