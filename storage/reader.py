"""All queries of the queue: notifications, their attempts, the audit log, counts."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from storage.database import Database
from storage.engine.changes import Changes
from storage.engine.driver_errors import storage_errors
from storage.models import (
    Attempt,
    AuditEntry,
    AuditRecord,
    CertificateState,
    ChannelClosure,
    ChannelRecord,
    Deliveries,
    DeliveringProcess,
    DeliveryStep,
    FailureGroup,
    IdPage,
    Notification,
    NotificationFilter,
    NotificationPage,
    NotificationState,
    NotificationStatus,
    QueueCounts,
    Share,
    UnservedChannel,
    UrgencyCounts,
)
from storage.operations import audit
from storage.operations.keep_figures import FigurePeriod
from storage.queries import (
    certificates,
    delivery_stats,
    failure_groups,
    kept_figures,
    listing,
    lookups,
    notification,
    processes,
    queue_stats,
    rescue,
)
from storage.queries.channel_closures import channel_closures
from storage.queries.counts import CachedCounts

NEXT_DUE_TIMEOUT = timedelta(seconds=10)
"""The timeout for the query of the next due time, which only reads the first entry of an index."""


class NotificationReader:
    """Reads the notifications of one database. All methods raise `StorageError` when it can't be used."""

    def __init__(self, database: Database, *, rescue_after: timedelta | None = None) -> None:
        """`rescue_after`: certctl's server delivers on this database, and only what it has left undelivered
        for longer than this is due here."""
        self._database = database
        self._rescue_after = rescue_after
        self._counts = CachedCounts(database)

    @property
    def changes(self) -> Changes:
        """Signals when it may be worth reading again, including after changes by other processes."""
        return self._database.changes

    async def get(self, notification_id: str) -> Notification:
        """Raises: NotificationNotFoundError."""
        return await self._database.read(notification.get, notification_id)

    async def replacement(self, notification_id: str) -> Notification | None:
        """The notification that was accepted in its place, on the fallback channel."""
        return await self._database.read(notification.replacement, notification_id)

    async def attempts(self, notification_id: str, *, limit: int | None = None) -> tuple[Attempt, ...]:
        """The attempts that have ended, oldest first; if there are more than `limit`, the newest.

        Numbers have gaps for claims that were never attempted.
        """
        return await self._database.read(notification.attempts, notification_id, limit)

    async def count_attempts(self, notification_id: str) -> int:
        """The number of attempts that have ended."""
        return await self._database.read(notification.count_attempts, notification_id)

    async def audit(self, notification_id: str, *, limit: int) -> tuple[AuditEntry, ...]:
        """The audit log of a notification, even if it was deleted: the newest entries, oldest first."""
        return await self._database.read(audit.audit, notification_id, limit)

    async def audit_log(self, notification_id: str | None = None, *, limit: int) -> tuple[AuditRecord, ...]:
        """The newest entries of the audit log, newest first: all, or those of one notification."""
        return await self._database.read(audit.audit_log, notification_id, limit)

    async def list(
        self,
        wanted: NotificationFilter,
        *,
        limit: int = 50,
        cursor: str | None = None,
        skip: int = 0,
        oldest_first: bool = False,
    ) -> NotificationPage:
        """A page of at most `limit` (1 to 500) that leaves out the first `skip`, newest first by default.

        `cursor` must be from a page in the same order.

        Raises:
            InvalidCursorError: `cursor` is not one that a page returned.
        """
        return await self._database.read(
            listing.list_page, self._with_certctl_flag(wanted), limit, cursor, skip, oldest_first=oldest_first
        )

    @staticmethod
    def first_of(page: NotificationPage, number: int) -> NotificationPage:
        """The same page, limited to this many items: at least one, and fewer than it has."""
        return listing.first_of(page, number)

    async def count(self, wanted: NotificationFilter) -> int:
        """The exact number of matching notifications. It is cached until something changes."""
        return await self._counts.count(self._with_certctl_flag(wanted))

    async def breakdown(self, wanted: NotificationFilter) -> tuple[Share, ...]:
        """The numbers of matching notifications by channel and status, largest first."""
        return await self._database.read(listing.breakdown, self._with_certctl_flag(wanted))

    async def matching_ids(
        self, wanted: NotificationFilter, *, limit: int, after: str | None = None
    ) -> IdPage:
        """The ids of matching notifications, oldest first.

        Raises:
            InvalidCursorError: `after` is not the `next` of a page.
        """
        return await self._database.read(listing.matching_ids, self._with_certctl_flag(wanted), limit, after)

    async def accepted_span(self, wanted: NotificationFilter) -> tuple[datetime, datetime] | None:
        """When the oldest and the newest matching notification were accepted; None if there are none."""
        return await self._database.read(listing.accepted_span, self._with_certctl_flag(wanted))

    async def states(self, ids: Sequence[str]) -> tuple[NotificationState, ...]:
        """The states of up to 500 notifications, without those that don't exist, in any order."""
        return await self._database.read(listing.states, ids)

    @property
    def shared_with_certctl(self) -> bool:
        """Whether the database is certctl's own."""
        return self._database.shared_with_certctl

    async def certificate_states(self, notifications: Sequence[Notification]) -> dict[str, CertificateState]:
        """The known states of the notifications' certificates, by the id of the notification."""
        return await self._database.read(
            certificates.certificate_states, notifications, beside_certctl=self.shared_with_certctl
        )

    async def urgency_counts(self, wanted: NotificationFilter, *, until: datetime) -> UrgencyCounts:
        """How many of the matching notifications still matter. Certificates that expire before `until` are
        urgent."""
        return await self._database.read(certificates.urgency_counts, self._with_certctl_flag(wanted), until)

    def _with_certctl_flag(self, wanted: NotificationFilter) -> NotificationFilter:
        if wanted.urgency is None and not self.shared_with_certctl:
            return wanted
        return wanted.model_copy(update={"beside_certctl": self.shared_with_certctl})

    async def ids_beginning(self, prefix: str, limit: int) -> tuple[str, ...]:
        """At most `limit` ids, in descending order."""
        return await self._database.read(lookups.ids_beginning, prefix, limit)

    async def ids_ending(self, suffix: str, limit: int) -> tuple[str, ...]:
        """At most `limit` of the newest notifications' ids."""
        return await self._database.read(lookups.ids_ending, suffix, limit)

    async def similar_ids(self, given: str, limit: int = 200) -> tuple[str, ...]:
        """Ids similar to `given`, which may be mistyped."""
        return await self._database.read(lookups.similar_ids, given, limit)

    async def channels_in_use(self) -> tuple[str, ...]:
        """The channels that notifications have, in order."""
        return await self._database.read(lookups.channels_in_use)

    async def types_in_use(self) -> tuple[str, ...]:
        """The types that notifications have, in order."""
        return await self._database.read(lookups.types_in_use)

    async def recent_values(self, field: lookups.ComparedField, *, limit: int) -> tuple[str, ...]:
        """The distinct recipients or certificates of the newest `limit` notifications."""
        return await self._database.read(lookups.recent_values, field, limit)

    async def failure_groups(self, wanted: NotificationFilter, *, limit: int) -> tuple[FailureGroup, ...]:
        """The matching dead and failing notifications in groups of similar failures, largest first, at most
        `limit`."""
        return await self._database.read(
            failure_groups.failure_groups, self._with_certctl_flag(wanted), limit
        )

    async def next_due_at(self, *, after: datetime, channels: Collection[str]) -> datetime | None:
        """When something next becomes due later than `after`: a retry of one of the channels, or any lease
        that expires.

        If `after` is the time of the last claim, anything that became due since then is included.
        """
        # Deliveries wait for the result, so the timeout is shorter than that of other queries.
        with storage_errors(self._database.location):
            async with asyncio.timeout(NEXT_DUE_TIMEOUT.total_seconds()):
                if self._rescue_after is not None:
                    return await self._database.read(rescue.next_due_at, after, channels, self._rescue_after)
                return await self._database.read(queue_stats.next_due_at, after, channels)

    async def processes(self) -> tuple[DeliveringProcess, ...]:
        """The live processes that deliver."""
        return await self._database.read(processes.live_processes, self._database.clock())

    async def channel_closures(self) -> tuple[ChannelClosure, ...]:
        """The closed channels, with the reason, the time of opening and the size of the backlog."""
        return await self._database.read(channel_closures, self._database.clock())

    async def unserved_channels(self) -> tuple[UnservedChannel, ...]:
        """The channels that no live process has, although notifications are waiting for them."""
        return await self._database.read(processes.unserved_channels, self._database.clock())

    async def stuck_channels(self, after: timedelta) -> tuple[UnservedChannel, ...]:
        """The channels with notifications that certctl's server, which delivers, has left undelivered for
        longer than `after`, and that no live process has."""
        return await self._database.read(rescue.stuck_channels, self._database.clock(), after)

    async def settled_by_certctl(self, since: datetime) -> int:
        """How many notifications created later than `since` were sent, or failed, without an attempt of
        ours."""
        return await self._database.read(rescue.settled_by_certctl, since)

    async def undeliverable_channels(self, after: timedelta) -> frozenset[str]:
        """The channels that no live process has had for `after`, with something due accepted before that."""
        now = self._database.clock()
        return await self._database.read(processes.undeliverable_channels, now, now - after)

    async def count_by_status(self) -> dict[NotificationStatus, int]:
        """The number of notifications in each status."""
        return await self._database.read(queue_stats.count_by_status)

    async def queue_counts(self) -> QueueCounts:
        """The queue's numbers for a summary."""
        counts = await self._database.read(queue_stats.queue_counts)
        if self._rescue_after is None:
            return counts
        next_rescue_at = await self._database.read(rescue.next_rescue_at)
        return counts.model_copy(update={"next_retry_at": next_rescue_at})

    async def channel_records(self, period: timedelta) -> tuple[ChannelRecord, ...]:
        """The outcomes of attempts over the last `period`, for each channel that had any."""
        since = self._database.clock() - period
        return tuple(await self._database.read(queue_stats.channel_records, since))

    async def delivery_figures(self, since: datetime, until: datetime) -> Deliveries:
        """The results of the attempts begun from `since` on and before `until`."""
        return await self._database.read(delivery_stats.delivery_figures, since, until)

    async def deliveries_over_time(
        self, since: datetime, until: datetime, *, beginning: datetime, step: timedelta
    ) -> tuple[DeliveryStep, ...]:
        """The attempts by outcome, in consecutive steps from `beginning` on.

        `beginning` is no later than `since`. Neither it nor the step has a fraction of a second.
        """
        return await self._database.read(
            delivery_stats.deliveries_over_time, since, until, beginning=beginning, step=step
        )

    async def days_to_keep(self, since: datetime, until: datetime) -> Sequence[FigurePeriod]:
        """The days without figures that begin before `until`, newest first, back to the oldest attempt since
        `since`."""
        return await self._database.read(kept_figures.days_to_keep, since, until)

    async def hours_to_keep(self, day: FigurePeriod, until: datetime) -> Sequence[FigurePeriod]:
        """The hours of a day that end by `until`, have many attempts and no figures, newest first."""
        return await self._database.read(kept_figures.hours_to_keep, day, until)
