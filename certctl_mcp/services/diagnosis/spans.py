"""Spans of failures: failures of one channel and one kind, without long gaps between them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.services.diagnosis.classification import classify, common_sentence
from storage.models import FailureGroup, NotificationStatus

PAUSES = (timedelta(hours=2), timedelta(hours=12), timedelta(days=2), timedelta.max)
"""The longest gap between the clock hours of two failures of a span; longer gaps are allowed only if there
would be too many spans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Failures of one channel and one kind, in a period without long gaps."""

    channel: str
    kind: FailureKind
    dead: int
    failing: int
    """They will be attempted again automatically."""
    undelivered: int = 0
    """Count as sent, although nothing was delivered."""
    replaced: int = 0
    """How many of the dead letters a fallback channel has delivered instead."""
    first_at: datetime
    last_at: datetime
    """When the newest attempts of its notifications began."""
    accepted_first_at: datetime
    accepted_last_at: datetime
    sentence: str | None
    """The text with which all its errors begin, in our own words; None if there is no common one."""
    sample_id: str
    error: str | None
    """The error of the sample, at least its beginning."""


def spans(groups: Iterable[FailureGroup], at_most: int) -> list[Span]:
    """The spans, starting with the one with the most dead letters.

    A channel that fails occasionally would have many small spans. Longer gaps are then allowed until there
    are `at_most` spans, or one for each channel and kind.
    """
    alike: dict[tuple[str, FailureKind], list[FailureGroup]] = {}
    for group in groups:
        kind = classify(group.error, abandoned=group.abandoned)
        alike.setdefault((group.channel, kind), []).append(group)
    found: list[Span] = []
    for pause in PAUSES:
        found = [
            _span(channel, kind, stretch)
            for (channel, kind), some in alike.items()
            for stretch in _stretches(some, pause)
        ]
        if len(found) <= at_most:
            break
    return sorted(
        found, key=lambda span: (span.dead + span.undelivered, span.failing, span.last_at), reverse=True
    )


def _stretches(groups: Iterable[FailureGroup], pause: timedelta) -> Iterator[Sequence[FailureGroup]]:
    stretch: list[FailureGroup] = []
    last: datetime | None = None
    for group in sorted(groups, key=lambda group: group.first_at):
        if last is not None and _hour(group.first_at) - _hour(last) > pause:
            yield stretch
            stretch, last = [], None
        stretch.append(group)
        last = group.last_at if last is None else max(last, group.last_at)
    if stretch:
        yield stretch


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _span(channel: str, kind: FailureKind, groups: Sequence[FailureGroup]) -> Span:
    counted = {
        status: sum(group.count for group in groups if group.status is status)
        for status in (NotificationStatus.DEAD, NotificationStatus.FAILED, NotificationStatus.SENT)
    }
    sample = max(
        groups, key=lambda group: (group.status is NotificationStatus.DEAD, group.count, group.last_at)
    )
    return Span(
        channel=channel,
        kind=kind,
        dead=counted[NotificationStatus.DEAD],
        failing=counted[NotificationStatus.FAILED],
        undelivered=counted[NotificationStatus.SENT],
        replaced=sum(group.replaced for group in groups),
        first_at=min(group.first_at for group in groups),
        last_at=max(group.last_at for group in groups),
        accepted_first_at=min(group.accepted_first_at for group in groups),
        accepted_last_at=max(group.accepted_last_at for group in groups),
        sentence=common_sentence(group.error for group in groups),
        sample_id=sample.sample_id,
        error=sample.error,
    )
