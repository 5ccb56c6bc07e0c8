"""Bulk actions on the notifications that a filter selects: previewed, run in batches, reported exactly.

The tools import this module when the server starts, so it must not import the database modules.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from storage.clock import Clock, utc_now
from storage.errors import ChangeUnknownError, StorageError
from storage.models import AuditAction, BulkReport, NotificationFilter, NotificationStatus, Share
from storage.operations.actions import ELIGIBLE

if TYPE_CHECKING:
    from storage.repository import NotificationRepository

logger = logging.getLogger(__name__)

SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview of what an action would do now."""

    action: AuditAction
    wanted: NotificationFilter
    shares: tuple[Share, ...]
    """Counts of all matching notifications, whether or not the action applies to them."""
    sample_ids: tuple[str, ...]
    span: tuple[datetime, datetime] | None
    """When the oldest and the newest notification it applies to were accepted; None if there is none."""
    missing_ids: tuple[str, ...] = ()
    """The given ids for which there is no notification."""
    remembered: int = 0
    """How many notifications are kept because certctl remembers its alerts by them."""

    @property
    def count(self) -> int:
        """The number of notifications that would change."""
        return sum(share.count - share.under_way for share in self.changing)

    @property
    def changing(self) -> tuple[Share, ...]:
        rule = ELIGIBLE[self.action]
        return tuple(s for s in self.shares if rule.includes(s.status, undelivered=s.undelivered))

    @property
    def left_out(self) -> BulkReport:
        """The numbers of notifications that would not change, by reason."""
        under_way = sum(share.under_way for share in self.changing)
        other_status = sum(share.count for share in self.shares) - self.count - under_way
        return BulkReport(under_way=under_way, other_status=other_status, missing=len(self.missing_ids))

    @property
    def filtered_out(self) -> int:
        """The number of notifications with one of the given ids that the rest of the filter does not
        match."""
        matching = sum(share.count for share in self.shares)
        return max(0, len(set(self.wanted.ids)) - len(self.missing_ids) - matching)

    @property
    def kept(self) -> str:
        """Why a purge keeps some of the matching notifications."""
        if not self.remembered:
            return ""
        return (
            f"{self.remembered} more are kept: certctl remembers its alerts by them, and would "
            "alert again without them. "
        )

    @property
    def by_channel(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for share in self.changing:
            found[share.channel] += share.count - share.under_way
        return +found

    def undeliverable(self, deliverable: Set[str]) -> int:
        """How many would be requeued on channels that are not in `deliverable`."""
        if self.action is not AuditAction.REQUEUE:
            return 0
        return sum(count for channel, count in self.by_channel.items() if channel not in deliverable)

    def delayed(self, closed: Set[str]) -> int:
        """How many would be requeued on `closed` channels, where they wait."""
        if self.action is not AuditAction.REQUEUE:
            return 0
        return sum(count for channel, count in self.by_channel.items() if channel in closed)

    @property
    def by_status(self) -> Counter[NotificationStatus]:
        found: Counter[NotificationStatus] = Counter()
        for share in self.changing:
            found[share.status] += share.count - share.under_way
        return +found


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A bulk action that was cancelled part-way. Its report counts exactly what was done."""

    at: datetime
    report: BulkReport
    requested: int


@dataclass(frozen=True, slots=True)
class BulkResult:
    """A bulk action that was completed."""

    report: BulkReport
    still_matching: int
    """How many notifications it would change if it ran again."""


class BulkActionStoppedError(Exception):
    """The database failed part-way. The report counts exactly what was done, except for those in doubt."""

    def __init__(self, report: BulkReport, requested: int, in_doubt: int = 0) -> None:
        doubt = f"Whether the next {in_doubt} were done too is unknown. " if in_doubt else ""
        super().__init__(
            f"The database became unavailable after {report.changed} of {requested} were done. "
            f"{doubt}The server's log says why; call again for the rest."
        )
        self.report = report
        self.requested = requested
        self.in_doubt = in_doubt


Progress = Callable[[BulkReport], Awaitable[None]]
"""Called after each batch with the report so far."""


class BulkActions:
    """Requeues, settles and purges what a filter selects. All methods let `StorageError` pass through."""

    def __init__(self, repository: "NotificationRepository", clock: Clock = utc_now) -> None:
        self._repository = repository
        self._clock = clock
        self._interrupted: dict[tuple[str, AuditAction], Interrupted] = {}
        self._batch = anyio.Lock()

    def interrupted(self, action: AuditAction, *, actor: str) -> Interrupted | None:
        """The newest `action` of `actor`, if it was cancelled part-way."""
        return self._interrupted.get((actor, action))

    async def preview(self, action: AuditAction, wanted: NotificationFilter) -> Preview:
        """What `action` would do to the notifications that match `wanted`."""
        async with self._batch:
            # A cancelled action that is still finishing a batch reports only after that.
            pass
        remembered = 0
        if action is AuditAction.PURGE and self._repository.shared_with_certctl:
            kept = _applicable(action, wanted).model_copy(update={"remembered": True})
            remembered = await self._repository.count(kept)
            wanted = wanted.model_copy(update={"remembered": False})
        shares = await self._repository.breakdown(wanted)
        applicable = _applicable(action, wanted)
        samples = await self._repository.matching_ids(applicable, limit=SAMPLES)
        span = await self._repository.accepted_span(applicable)
        missing = await self._missing(wanted.ids)
        return Preview(action, wanted, shares, samples.ids, span, missing, remembered)

    async def run(self, preview: Preview, progress: Progress, *, actor: str) -> BulkResult:
        """Do what was previewed, oldest first, on behalf of `actor`.

        Cancellation takes effect between two batches; `interrupted` then has the report.

        Raises:
            BulkActionStoppedError: the database failed after some were done.
            StorageError: it failed before any were done.
        """
        from storage.operations.bulk import LARGEST_BULK

        action = preview.action
        wanted = _applicable(action, preview.wanted)
        report = BulkReport()
        self._interrupted.pop((actor, action), None)
        after: str | None = None
        try:
            while True:
                async with self._batch:
                    # A batch that has begun is always finished, so that the report is exact.
                    with anyio.CancelScope(shield=True):
                        page = await self._repository.matching_ids(wanted, limit=LARGEST_BULK, after=after)
                        if page.ids:
                            report += await self._apply(preview, page.ids, actor)
                    await anyio.lowlevel.checkpoint()
                await progress(report)
                if page.next is None:
                    break
                after = page.next
            result = BulkResult(report, await self._repository.count(wanted))
        except StorageError as failure:
            if not report.changed:
                raise
            logger.warning("%s: %d of %d done, then: %s", action, report.changed, preview.count, failure)
            in_doubt = len(page.ids) if isinstance(failure, ChangeUnknownError) else 0
            raise BulkActionStoppedError(report, preview.count, in_doubt) from failure
        except BaseException:
            # Cancelled, or the client is gone, so the caller doesn't learn how much was done.
            self._interrupted[actor, action] = Interrupted(self._clock(), report, preview.count)
            logger.warning("%s was cancelled: %d of %d done", action, report.changed, preview.count)
            raise
        logger.info("%s: %d of %d done", action, report.changed, preview.count)
        return result

    async def _missing(self, ids: Sequence[str]) -> tuple[str, ...]:
        if not ids:
            return ()
        found = await self._repository.matching_ids(NotificationFilter(ids=tuple(ids)), limit=len(ids))
        there = set(found.ids)
        return tuple(dict.fromkeys(each for each in ids if each not in there))

    async def _apply(self, preview: Preview, ids: Sequence[str], actor: str) -> BulkReport:
        match preview.action:
            case AuditAction.REQUEUE:
                return await self._repository.requeue_all(ids, actor=actor)
            case AuditAction.MARK_READ:
                return await self._repository.mark_all_read(ids, actor=actor)
            case AuditAction.PURGE:
                until = preview.wanted.created_until or self._clock()
                statuses = preview.wanted.statuses
                return await self._repository.purge_all(
                    ids, statuses=statuses, created_until=until, actor=actor
                )
            case (
                AuditAction.SEND
                | AuditAction.TEST
                | AuditAction.PAUSE
                | AuditAction.RESUME
                | AuditAction.RETENTION
            ):
                raise ValueError(f"to {preview.action} is not a bulk action")


def _applicable(action: AuditAction, wanted: NotificationFilter) -> NotificationFilter:
    """`wanted`, narrowed to the notifications to which the action applies."""
    return wanted.model_copy(update={"eligible_for": action})
