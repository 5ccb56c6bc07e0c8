"""The filter with which one call requeues the failures of a span, and no others as far as a filter can
separate them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from certctl_mcp.services.diagnosis.spans import Span
from storage.models import AuditAction, NotificationFilter, NotificationStatus
from storage.reader import NotificationReader

_MOMENT = timedelta(microseconds=1)
"""The end of a period is exclusive."""

ChannelCounts = Mapping[tuple[str, NotificationStatus], int]
"""How many of the diagnosed notifications have this channel and status."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a requeue selects."""

    wanted: NotificationFilter
    count: int
    """How many match now."""
    others: int
    """How many of these failed for another reason, or at another time."""


async def select(
    repository: NotificationReader, among: NotificationFilter, span: Span, counts: ChannelCounts
) -> Selection:
    """The narrowest filter that covers the whole span. `among`: the diagnosed notifications."""
    statuses = _statuses(span)
    number = sum(statuses.values())
    whole = among.model_copy(
        update={
            "channel": span.channel,
            "statuses": tuple(statuses),
            "eligible_for": AuditAction.REQUEUE,
        }
    )
    best = Selection(whole, total := sum(counts[span.channel, status] for status in statuses), total - number)
    for candidate in _narrower(whole, span):
        if best.others <= 0:
            break
        count = await repository.count(candidate)
        if number <= count < best.count:
            best = Selection(candidate, count, count - number)
    return best


def _statuses(span: Span) -> Mapping[NotificationStatus, int]:
    """The statuses to requeue, with their counts. Notifications that are still being retried are selected
    only if there are no others."""
    found = {NotificationStatus.DEAD: span.dead, NotificationStatus.SENT: span.undelivered}
    return {status: count for status, count in found.items() if count} or {
        NotificationStatus.FAILED: span.failing
    }


def _narrower(whole: NotificationFilter, span: Span) -> Iterator[NotificationFilter]:
    period = {
        "created_from": span.accepted_first_at,
        "created_until": span.accepted_last_at + _MOMENT,
    }
    if span.sentence is not None and whole.text is None:
        yield whole.model_copy(update={"text": span.sentence})
        yield whole.model_copy(update={"text": span.sentence, **period})
    yield whole.model_copy(update=period)
