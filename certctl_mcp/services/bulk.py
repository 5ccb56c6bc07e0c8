"""What is done to many notifications at once: seen before, done in batches, accounted for exactly.

The tools import it when the server starts, so it loads nothing of the database's.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from certctl_mcp.services.actor import actor
from storage.clock import Clock, utc_now
from storage.errors import ChangeUnknownError, StorageError
from storage.models import BulkReport, NotificationFilter, NotificationStatus, Share

if TYPE_CHECKING:
    from storage.repository import NotificationRepository

logger = logging.getLogger(__name__)

SAMPLES = 3


class Act(StrEnum):
    """What is done, in the words of the log."""

    REQUEUE = "requeue"
    MARK_READ = "mark read"
    PURGE = "purge"


ALLOWED: Mapping[Act, tuple[NotificationStatus, ...]] = {
    Act.REQUEUE: (NotificationStatus.DEAD, NotificationStatus.FAILED),
    Act.MARK_READ: tuple(status for status in NotificationStatus if status is not NotificationStatus.READ),
    Act.PURGE: (NotificationStatus.SENT, NotificationStatus.READ, NotificationStatus.DEAD),
}
"""The statuses in which each can be done, or does anything."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What an act would do at this moment."""

    act: Act
    wanted: NotificationFilter
    shares: tuple[Share, ...]
    """Of those that match, whether or not the act applies to them."""
    sample_ids: tuple[str, ...]
    span: tuple[datetime, datetime] | None
    """When the oldest and the newest of those that the act applies to were accepted; None without any."""
    missing_ids: tuple[str, ...] = ()
    """Those of the given ids that no notification has."""

    @property
    def count(self) -> int:
        """Notifications that would change."""
        return sum(share.count - share.under_way for share in self.changing)

    @property
    def changing(self) -> tuple[Share, ...]:
        return tuple(share for share in self.shares if share.status in ALLOWED[self.act])

    @property
    def left_out(self) -> BulkReport:
        """Those that would not change, by why."""
        under_way = sum(share.under_way for share in self.changing)
        other_status = sum(share.count for share in self.shares) - self.count - under_way
        return BulkReport(under_way=under_way, other_status=other_status, missing=len(self.missing_ids))

    @property
    def filtered_out(self) -> int:
        """Notifications of the given ids that the rest of the filter does not match."""
        matching = sum(share.count for share in self.shares)
        return max(0, len(set(self.wanted.ids)) - len(self.missing_ids) - matching)

    @property
    def by_channel(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for share in self.changing:
            found[share.channel] += share.count - share.under_way
        return +found

    @property
    def by_status(self) -> Counter[NotificationStatus]:
        found: Counter[NotificationStatus] = Counter()
        for share in self.changing:
            found[share.status] += share.count - share.under_way
        return +found


@dataclass(frozen=True, slots=True)
class Interrupted:
    """An act that ended half-way. What its report counts was done, and no more."""

    at: datetime
    report: BulkReport
    requested: int


@dataclass(frozen=True, slots=True)
class Account:
    """An act that was gone through to its end."""

    report: BulkReport
    still_matching: int
    """Those that the act would apply to now."""


class ActStoppedError(Exception):
    """The database failed in the middle of an act. What the report counts was done, and no more."""

    def __init__(self, report: BulkReport, requested: int, in_doubt: int = 0) -> None:
        doubt = f"Whether the next {in_doubt} were done too can't be known. " if in_doubt else ""
        super().__init__(
            f"The database could not be used any more when {report.changed} of {requested} were done. "
            f"{doubt}The server's log says why; call again for the rest."
        )
        self.report = report
        self.requested = requested


Progress = Callable[[BulkReport], Awaitable[None]]
"""Told after each batch what was done so far."""


class ManyNotifications:
    """Acts on notifications chosen by a filter. All methods raise `StorageError` as it comes."""

    def __init__(self, repository: "NotificationRepository", clock: Clock = utc_now) -> None:
        self._repository = repository
        self._clock = clock
        self._interrupted: dict[tuple[str | None, Act], Interrupted] = {}
        self._batch = anyio.Lock()

    def interrupted(self, act: Act) -> Interrupted | None:
        """The newest of these acts of who acts now, if it was cancelled half-way."""
        return self._interrupted.get((actor(), act))

    async def preview(self, act: Act, wanted: NotificationFilter) -> Preview:
        """What `act` would do to what is `wanted`."""
        async with self._batch:
            # One that was cancelled and finishes its batch has its account after that.
            pass
        shares = await self._repository.breakdown(wanted)
        narrowed = _narrowed(act, wanted)
        samples = await self._repository.matching_ids(narrowed, limit=SAMPLES)
        span = await self._span(narrowed, samples.ids[:1])
        return Preview(act, wanted, shares, samples.ids, span, await self._missing(wanted.ids))

    async def act(self, preview: Preview, progress: Progress) -> Account:
        """Do it, oldest first, and say what became of each.

        Being cancelled ends it between two batches; `interrupted` then has the account.

        Raises:
            ActStoppedError: the database failed when something was done already.
            StorageError: it failed before anything was.
        """
        from storage.operations.bulk import LARGEST_BULK

        report = BulkReport()
        wanted = _narrowed(preview.act, preview.wanted)
        mine = actor(), preview.act
        self._interrupted.pop(mine, None)
        after: str | None = None
        try:
            while True:
                async with self._batch:
                    # A batch that was begun is waited for, so that the account is exact.
                    with anyio.CancelScope(shield=True):
                        page = await self._repository.matching_ids(wanted, limit=LARGEST_BULK, after=after)
                        if page.ids:
                            report += await self._apply(preview, page.ids)
                    await anyio.lowlevel.checkpoint()
                await progress(report)
                if page.next is None:
                    break
                after = page.next
            account = Account(report, await self._repository.count(wanted))
        except StorageError as failure:
            if not report.changed:
                raise
            logger.warning("%s: %d of %d done, then: %s", preview.act, report.changed, preview.count, failure)
            in_doubt = len(page.ids) if isinstance(failure, ChangeUnknownError) else 0
            raise ActStoppedError(report, preview.count, in_doubt) from failure
        except BaseException:
            # Cancelled, or the client has gone: nobody hears how far it came.
            self._interrupted[mine] = Interrupted(self._clock(), report, preview.count)
            logger.warning("%s was cancelled: %d of %d done", preview.act, report.changed, preview.count)
            raise
        logger.info("%s: %d of %d done", preview.act, report.changed, preview.count)
        return account

    async def _span(
        self, wanted: NotificationFilter, oldest: tuple[str, ...]
    ) -> tuple[datetime, datetime] | None:
        if not oldest:
            return None
        first = await self._repository.list(wanted.model_copy(update={"ids": oldest}), limit=1)
        last = await self._repository.list(wanted, limit=1)
        ends = [notification.created_at for page in (first, last) for notification in page.items]
        return (min(ends), max(ends)) if ends else None

    async def _missing(self, ids: Sequence[str]) -> tuple[str, ...]:
        if not ids:
            return ()
        found = await self._repository.matching_ids(NotificationFilter(ids=tuple(ids)), limit=len(ids))
        there = set(found.ids)
        return tuple(dict.fromkeys(each for each in ids if each not in there))

    async def _apply(self, preview: Preview, ids: Sequence[str]) -> BulkReport:
        match preview.act:
            case Act.REQUEUE:
                return await self._repository.requeue_all(ids, actor=actor())
            case Act.MARK_READ:
                return await self._repository.mark_all_read(ids, actor=actor())
            case Act.PURGE:
                until = preview.wanted.created_until or self._clock()
                statuses = preview.wanted.statuses
                return await self._repository.purge_all(
                    ids, statuses=statuses, created_until=until, actor=actor()
                )


def _narrowed(act: Act, wanted: NotificationFilter) -> NotificationFilter:
    """Without what the act does not apply to."""
    statuses = wanted.statuses or tuple(NotificationStatus)
    allowed = tuple(status for status in statuses if status in ALLOWED[act])
    return wanted.model_copy(update={"statuses": allowed})
