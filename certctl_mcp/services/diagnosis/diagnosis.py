"""The diagnosis: what failed, why, and what to do. It joins groups of similar errors with the state of their
channels."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio.to_thread

from certctl_mcp.services.delivery_roles import Deliverer
from certctl_mcp.services.diagnosis.advice import Advice, ChannelStatus, advise
from certctl_mcp.services.diagnosis.classification import classify
from certctl_mcp.services.diagnosis.requeue_selection import Selection, select
from certctl_mcp.services.diagnosis.spans import Span, spans
from certctl_mcp.services.filters import URGENT_WITHIN
from certctl_mcp.services.urgency import urgency_text
from storage.models import AuditAction, ChannelRecord, NotificationFilter, NotificationStatus
from storage.reader import NotificationReader

MAX_FINDINGS = 12
MAX_GROUPS = 20_000
"""The most groups of similar errors that are read, the largest first."""

LOOK_BACK = timedelta(days=1)
FURTHEST_LOOK_BACK = timedelta(days=7)
"""How far back to search for deliveries: at least the first, and as far as the failures go, up to the
second."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A span of failures, and what to do about it."""

    span: Span
    advice: Advice
    requeue: Selection | None
    """What to requeue, if that is part of the advice."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What failed. The findings may cover only a part: compare the counts."""

    dead: int
    failing: int
    undelivered: int
    """Count as sent, although nothing was delivered."""
    findings: Sequence[Finding]
    urgency: str | None = None
    """How many of the dead letters still matter."""


async def diagnose(
    repository: NotificationReader,
    wanted: NotificationFilter,
    deliverer: Callable[[str], Deliverer],
    now: datetime,
    *,
    include_failing: bool,
) -> Diagnosis:
    """The dead and undelivered notifications that match `wanted`, and with `include_failing` also those that
    failed and are not dead.

    `deliverer` returns which program delivers over a channel.
    """
    statuses = [NotificationStatus.DEAD, NotificationStatus.SENT]
    if include_failing:
        statuses.append(NotificationStatus.FAILED)
    wanted = wanted.model_copy(update={"statuses": tuple(statuses), "eligible_for": AuditAction.REQUEUE})
    counts: Counter[NotificationStatus] = Counter()
    of_channel: Counter[tuple[str, NotificationStatus]] = Counter()
    for share in await repository.breakdown(wanted):
        counts[share.status] += share.count
        of_channel[share.channel, share.status] += share.count
    groups = await repository.failure_groups(wanted, limit=MAX_GROUPS)
    # In a thread, because classifying many groups takes a while and would delay deliveries.
    shown = (await anyio.to_thread.run_sync(spans, groups, MAX_FINDINGS))[:MAX_FINDINGS]
    delivering_since = await _delivering_since(repository, shown, now)
    dead = counts[NotificationStatus.DEAD]
    closures = {closure.channel: closure for closure in await repository.channel_closures()} if shown else {}
    findings: list[Finding] = []
    for span in shown:
        channel_status = ChannelStatus(
            deliverer(span.channel), delivering_since.get(span.channel), closures.get(span.channel)
        )
        advice = advise(span, channel_status)
        requeue = await select(repository, wanted, span, of_channel) if advice.requeue else None
        findings.append(Finding(span, advice, requeue))
    return Diagnosis(
        urgency=await _urgency(repository, wanted, dead, now) if dead else None,
        dead=dead,
        failing=counts[NotificationStatus.FAILED],
        undelivered=counts[NotificationStatus.SENT],
        findings=findings,
    )


async def _urgency(
    repository: NotificationReader, wanted: NotificationFilter, dead: int, now: datetime
) -> str | None:
    among = wanted.model_copy(update={"statuses": (NotificationStatus.DEAD,)})
    counts = await repository.urgency_counts(among, until=now + URGENT_WITHIN)
    return urgency_text(dead, counts, beside_certctl=repository.shared_with_certctl)


async def _delivering_since(
    repository: NotificationReader, shown: Sequence[Span], now: datetime
) -> dict[str, datetime]:
    """The channels that deliver, and when each last did, looking back as far as it can matter."""
    if not shown:
        return {}
    since_oldest = now - min(span.last_at for span in shown)
    period = min(max(since_oldest, LOOK_BACK), FURTHEST_LOOK_BACK)
    return {
        record.channel: record.last_sent_at
        for record in await repository.channel_records(period)
        if record.last_sent_at is not None and not _failed_since(record.last_sent_at, record)
    }


def _failed_since(delivered_at: datetime, record: ChannelRecord) -> bool:
    """Whether the channel has failed since; the refusal of a single alert is not a failure of the channel."""
    if record.last_failed_at is None or record.last_failed_at < delivered_at:
        return False
    return classify(record.last_error).of_channel
