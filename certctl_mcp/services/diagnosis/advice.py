"""Advice for failures of one kind, given the present state of the channel."""

from dataclasses import dataclass
from datetime import datetime

from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.services.delivery_roles import CERTCTL_CHANNELS, Deliverer
from certctl_mcp.services.diagnosis.kinds import REMEDIES
from certctl_mcp.services.diagnosis.spans import Span
from certctl_mcp.services.next_steps import moment, why_closed
from storage.models import STANDSTILL, ChannelClosure


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """The present state of a channel."""

    deliverer: Deliverer
    delivered_at: datetime | None
    """When its newest successful attempt began, within the period that was read. None if it has failed
    since."""
    closed: ChannelClosure | None = None
    """Why nothing is sent over it now."""


@dataclass(frozen=True, slots=True)
class Advice:
    """The likely cause, what to do, and whether to requeue the dead letters afterwards."""

    cause: str
    action: str
    requeue: bool


_AFTER_REQUEUE = "requeued notifications wait until then and use up no attempts"


def advise(span: Span, channel_status: ChannelStatus) -> Advice:
    """Advice for these failures."""
    action, requeue = _action(span, channel_status)
    if requeue and span.replaced:
        action = f"{action}; {_replaced(span)}"
    return Advice(REMEDIES[span.kind].cause, action, requeue)


def _replaced(span: Span) -> str:
    if span.replaced < span.dead:
        return f"{span.replaced} of them were delivered over the fallback, and arrive again if requeued"
    return "all of them were delivered over the fallback, and arrive again if requeued"


def _action(span: Span, channel_status: ChannelStatus) -> tuple[str, bool]:
    remedy = REMEDIES[span.kind]
    delivers_again = (
        span.kind.of_channel
        and channel_status.delivered_at is not None
        and channel_status.delivered_at > span.last_at
    )
    if channel_status.deliverer is Deliverer.CERTCTL:
        return _where_certctl_delivers(span, remedy.fix)
    if channel_status.deliverer is Deliverer.NOBODY:
        return "no running process has this channel, so they would not be delivered if requeued", False
    if span.dead + span.undelivered == 0:
        return _while_retried(remedy.fix, remedy.is_temporary or delivers_again), False
    if span.kind is FailureKind.NO_NOTIFIER:
        return "it is configured now: requeue", True
    closed = channel_status.closed
    if closed is not None and closed.state in STANDSTILL:
        return f"{why_closed(closed)}; {_AFTER_REQUEUE}", not span.kind.is_permanent
    if delivers_again and channel_status.delivered_at is not None:
        since = moment(channel_status.delivered_at)
        return f"it has been delivering again since {since}; requeue now", True
    return remedy.fix, not span.kind.is_permanent


def _where_certctl_delivers(span: Span, fix: str) -> tuple[str, bool]:
    if span.channel not in CERTCTL_CHANNELS:
        return (
            "certctl's server has no such channel: requeued, it only marks them as sent",
            False,
        )
    if span.dead + span.undelivered == 0:
        return f"{fix}; certctl's server never retries them: requeue, and it sends each once", True
    return f"{fix}; once requeued, certctl's server sends each once", not span.kind.is_permanent


def _while_retried(fix: str, is_temporary: bool) -> str:
    return "retried automatically" if is_temporary else f"{fix}, before they run out of retries"
