"""Which failures belong together? Those of one channel and one kind, as long as no long pause parts them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from certctl_mcp.diagnosis.classifying import classify
from certctl_mcp.diagnosis.kinds import FailureKind
from storage.models import FailureGroup, NotificationStatus

LONGEST_PAUSE = timedelta(hours=2)
"""Between the clock hours of two failures of one span."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What failed on one channel, for one kind of reason, over one stretch of time."""

    channel: str
    kind: FailureKind
    dead: int
    failing: int
    """To be attempted again by themselves."""
    first_at: datetime
    last_at: datetime
    """Of the newest attempts of its notifications."""
    sample_id: str
    error: str | None
    """The sample's, at least its beginning."""


def spans(groups: Iterable[FailureGroup]) -> list[Span]:
    """What concerns most dead letters first."""
    alike: dict[tuple[str, FailureKind], list[FailureGroup]] = {}
    for group in groups:
        kind = classify(group.error, abandoned=group.abandoned)
        alike.setdefault((group.channel, kind), []).append(group)
    found = [
        _span(channel, kind, stretch)
        for (channel, kind), some in alike.items()
        for stretch in _stretches(some)
    ]
    return sorted(found, key=lambda span: (span.dead, span.failing, span.last_at), reverse=True)


def _stretches(groups: Iterable[FailureGroup]) -> Iterator[Sequence[FailureGroup]]:
    stretch: list[FailureGroup] = []
    last: datetime | None = None
    for group in sorted(groups, key=lambda group: group.first_at):
        if last is not None and _hour(group.first_at) - _hour(last) > LONGEST_PAUSE:
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
        for status in (NotificationStatus.DEAD, NotificationStatus.FAILED)
    }
    sample = max(
        groups, key=lambda group: (group.status is NotificationStatus.DEAD, group.count, group.last_at)
    )
    return Span(
        channel=channel,
        kind=kind,
        dead=counted[NotificationStatus.DEAD],
        failing=counted[NotificationStatus.FAILED],
        first_at=min(group.first_at for group in groups),
        last_at=max(group.last_at for group in groups),
        sample_id=sample.sample_id,
        error=sample.error,
    )
