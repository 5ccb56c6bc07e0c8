"""Advice for failures of one kind, given the present state of the channel."""

from dataclasses import dataclass
from datetime import datetime

from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.services.diagnosis.kinds import REMEDIES
from certctl_mcp.services.diagnosis.spans import Span


@dataclass(frozen=True, slots=True)
class Standing:
    """A channel by now."""

    configured: bool
    delivered_at: datetime | None
    """When the newest attempt that delivered began, as far as was looked back. None if it failed since."""


@dataclass(frozen=True, slots=True)
class Advice:
    """The likely cause, what to do, and whether the dead letters are to be requeued in the end."""

    cause: str
    action: str
    requeue: bool


def advise(span: Span, standing: Standing) -> Advice:
    """What fits."""
    action, requeue = _action(span, standing)
    return Advice(REMEDIES[span.kind].cause, action, requeue)


def _action(span: Span, standing: Standing) -> tuple[str, bool]:
    remedy = REMEDIES[span.kind]
    delivers_again = (
        span.kind.of_channel and standing.delivered_at is not None and standing.delivered_at > span.last_at
    )
    if not standing.configured:
        return "no such channel is configured now: requeued, they would not be delivered", False
    if span.dead == 0:
        return _while_retried(remedy.fix, remedy.passes or delivers_again), False
    if span.kind is FailureKind.NO_NOTIFIER:
        return "it is configured now: requeue", True
    if delivers_again:
        return "it delivers again: requeue now", True
    return remedy.fix, not span.kind.is_permanent


def _while_retried(fix: str, passes: bool) -> str:
    return "retried by themselves" if passes else f"{fix}, before their retries are spent"
