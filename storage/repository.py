"""The repository: every step of a notification's way through the database, under its name in the contract."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import func, select

from storage.database import Database
from storage.engine.changes import Changes
from storage.errors import NotificationNotFoundError, StorageError
from storage.ids import new_notification_id
from storage.models import (
    Accepted,
    Attempt,
    AttemptOutcome,
    AuditAction,
    AuditEntry,
    AuditRecord,
    BulkReport,
    ChannelRecord,
    Claim,
    Death,
    Deliveries,
    DeliveringProcess,
    DeliveryStep,
    FailureGroup,
    IdPage,
    NewNotification,
    Notification,
    NotificationFilter,
    NotificationPage,
    NotificationState,
    NotificationStatus,
    QueueCounts,
    Share,
    UnservedChannel,
)
from storage.operations import audit, bulk
from storage.operations.accept import Offer, accept, out_of_reach, pending
from storage.operations.bulk import Bulk
from storage.operations.claim import claim
from storage.operations.claim_postgresql import claim_rest
from storage.operations.claim_request import ClaimRequest, Claims
from storage.operations.leases import ABANDONED_AT_MOST, Held, end_leases, release
from storage.operations.outcomes import Finished, Transition, finish
from storage.operations.processes import Heartbeat, heartbeat, leave
from storage.operations.requeue import Request, mark_read, requeue
from storage.operations.successors import Successors, no_successors
from storage.queries import (
    delivery_stats,
    failure_groups,
    listing,
    lookups,
    processes,
    queue_stats,
    rescue,
)
from storage.queries.counts import Counting
from storage.queries.listing import list_page
from storage.schema.rows import ATTEMPT, NOTIFICATION, attempt_of, notification_of
from storage.schema.tables import notification_attempts, notification_events

NEXT_DUE_TIMEOUT = timedelta(seconds=10)
"""When the next notification becomes due is the first entry of an index."""


class NotificationRepository:
    """Notifications in one database, shared by any number of processes.

    Every change is one atomic step: durable when its call returns, or not made at all. All methods raise
    `StorageError` when the database can't be used.
    """

    def __init__(
        self,
        database: Database,
        *,
        successors: Successors = no_successors,
        rescue_after: timedelta | None = None,
    ) -> None:
        """`successors` decides what is accepted because a notification has died.

        `rescue_after`: certctl's server delivers on this database. Only what it has left undelivered for
        longer than this, and what is accepted or requeued here, is ever claimed.
        """
        self._database = database
        self._rescue_after = rescue_after
        self._rescue = rescue_after is not None
        self._successors = _out_of_reach(successors) if self._rescue else successors
        self._counting = Counting(database)

    @property
    def changes(self) -> Changes:
        """Tells when it may be worth reading again, also after what other processes did."""
        return self._database.changes

    async def accept(self, new: NewNotification, *, actor: str | None = None) -> Accepted:
        """Take responsibility for an alert; once this returns it survives the process and the power.

        Here and elsewhere, `actor` is who wishes it; where it is given, the audit keeps it.

        Raises:
            IdempotencyConflictError: its key was accepted before with other contents.
            UnknownCertificateError: it is about a certificate that is not there, where the database knows.
        """
        notification = pending(new, new_notification_id(), self._database.clock())
        if self._rescue:
            notification = out_of_reach(notification)
        # Its id is its own, so it is not accepted twice; only the audit's entry has to come with it.
        offer = Offer(notification, actor)
        accepted = await self._database.write(accept, offer, repeatable=actor is None, adds=True)
        self._database.changes.announce()
        return accepted

    async def get(self, notification_id: str) -> Notification:
        """Raises: NotificationNotFoundError."""
        query = select(*NOTIFICATION).where(notification_events.c.id == notification_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotificationNotFoundError(notification_id)
        return notification_of(row)

    async def attempts(self, notification_id: str, *, limit: int | None = None) -> tuple[Attempt, ...]:
        """The attempts that have ended, oldest first; of more than `limit` the newest.

        Numbers may have gaps: claims never started.
        """
        attempt = notification_attempts.c
        query = select(*ATTEMPT).where(attempt.notification_id == notification_id)
        query = query.order_by(attempt.number.desc()).limit(limit)
        async with self._database.read() as connection:
            return tuple(attempt_of(row) for row in await connection.execute(query))[::-1]

    async def count_attempts(self, notification_id: str) -> int:
        """How many attempts have ended."""
        query = select(func.count()).where(notification_attempts.c.notification_id == notification_id)
        async with self._database.read() as connection:
            found: int = (await connection.execute(query)).scalar_one()
        return found

    async def record_test(self, notification_id: str, *, actor: str) -> None:
        """Record in the audit log that `actor` tested a channel; the test itself is not stored."""
        entry = audit.Entry(AuditAction.TEST, notification_id, self._database.clock(), actor)
        await self._database.write(audit.append, entry)

    async def audit(self, notification_id: str, *, limit: int) -> tuple[AuditEntry, ...]:
        """Who did what to a notification, also to one that is gone: the newest entries, oldest first."""
        async with self._database.read() as connection:
            return await audit.audit(connection, notification_id, limit)

    async def audit_log(self, notification_id: str | None = None, *, limit: int) -> tuple[AuditRecord, ...]:
        """The newest entries of the audit log, newest first: all, or those of one notification."""
        async with self._database.read() as connection:
            return await audit.audit_log(connection, notification_id, limit)

    async def list(
        self, wanted: NotificationFilter, *, limit: int = 50, cursor: str | None = None, skip: int = 0
    ) -> NotificationPage:
        """A page of at most `limit` (1 to 500), newest first, that leaves out the first `skip`.

        Raises:
            InvalidCursorError: `cursor` is not one that a page gave.
        """
        async with self._database.read() as connection:
            return await list_page(connection, wanted, limit, cursor, skip)

    async def claim(self, request: ClaimRequest) -> Claims:
        """Claim due notifications, oldest first. No other worker gets them while the lease lasts."""
        request = replace(request, rescue_after=self._rescue_after)
        found = await self._database.write(claim, request, repeatable=True)
        if found.lease_expired:
            await self._database.write(end_leases, Held(request.held, request.lease, self._successors))
            request = replace(request, stop_at_expired_lease=False)
            found = await self._database.write(claim, request, repeatable=True)
        if found.contended:
            # What was claimed is leased, and is attempted even if claiming the rest fails.
            with suppress(StorageError):
                rest = await self._database.write(claim_rest, request.without(found.claims))
                found = replace(found, claims=found.claims + rest)
        return found

    async def record_sent(self, claim: Claim, duration: timedelta) -> bool:
        """The attempt delivered. Like every outcome: False if the lease was lost and the outcome refused."""
        transition = Transition(
            NotificationStatus.SENT,
            claim.notification.retry_count,
            sent_at=self._database.clock(),
            last_error=claim.notification.last_error,
        )
        return await self._finish(claim, duration, AttemptOutcome.SENT, None, transition)

    async def record_failed_attempt(
        self, claim: Claim, duration: timedelta, error: str, wait: timedelta
    ) -> bool:
        """The attempt failed; the next one is due after `wait`."""
        transition = Transition(
            NotificationStatus.FAILED,
            claim.notification.retry_count + 1,
            next_retry_at=self._database.clock() + wait,
            last_error=error,
        )
        return await self._finish(claim, duration, AttemptOutcome.FAILED, error, transition)

    async def mark_as_dead(
        self, claim: Claim, duration: timedelta, error: str, *, permanent: bool = False
    ) -> bool:
        """The attempt failed and none is left. The retry count stays as evidence.

        `permanent`: none could have succeeded, however many were left.
        """
        transition = Transition(NotificationStatus.DEAD, claim.notification.retry_count, last_error=error)
        return await self._finish(
            claim, duration, AttemptOutcome.DEAD, error, transition, permanent=permanent
        )

    async def record_skipped(self, claim: Claim, reason: str) -> bool:
        """There is no way to deliver it: it counts as done, and as undelivered, for this reason."""
        transition = Transition(
            NotificationStatus.SENT,
            claim.notification.retry_count,
            error=reason,
            last_error=claim.notification.last_error,
        )
        return await self._finish(claim, timedelta(0), AttemptOutcome.SKIPPED, reason, transition)

    async def record_abandoned(self, claim: Claim, duration: timedelta, reason: str) -> bool:
        """The attempt was broken off without an answer; the notification is due again at once."""
        return await self._finish(claim, duration, AttemptOutcome.ABANDONED, reason, _unchanged(claim))

    async def record_crash(self, claim: Claim, duration: timedelta, reason: str, wait: timedelta) -> bool:
        """The process that made the attempt died: an abandoned attempt; the next one is due after `wait`."""
        n = claim.notification
        if n.abandoned_count + 1 >= ABANDONED_AT_MOST:
            last_error = f"abandoned {ABANDONED_AT_MOST} times: {reason}"
            transition = Transition(
                NotificationStatus.DEAD, n.retry_count, last_error=last_error, abandoned=1
            )
        else:
            transition = Transition(
                NotificationStatus.FAILED,
                n.retry_count,
                next_retry_at=self._database.clock() + wait,
                last_error=reason,
                abandoned=1,
            )
        return await self._finish(claim, duration, AttemptOutcome.ABANDONED, reason, transition)

    async def release(self, claim: Claim) -> bool:
        """Give back a claim whose attempt was never begun, as if it had not been taken."""
        return await self._database.write(release, claim)

    async def requeue(self, notification_id: str, *, actor: str | None = None) -> Notification:
        """Dead or failed becomes pending, with all its retries before it and nothing of its last life.

        Raises:
            NotificationNotFoundError: there is no such notification.
            NotificationConflictError: its status does not allow it, or an attempt is under way.
        """
        request = Request(notification_id, actor, self._rescue)
        notification = await self._database.write(requeue, request)
        self._database.changes.announce()
        return notification

    async def mark_read(self, notification_id: str, *, actor: str | None = None) -> Notification:
        """The operator's word that nothing is left to do, also for a row not delivered.

        Raises:
            NotificationNotFoundError: there is no such notification.
            NotificationConflictError: an attempt is under way.
        """
        request = Request(notification_id, actor)
        notification = await self._database.write(mark_read, request)
        self._database.changes.committed()
        return notification

    async def count(self, wanted: NotificationFilter) -> int:
        """How many match, exactly. Repeated while nothing has changed, it costs next to nothing."""
        return await self._counting.count(wanted)

    async def breakdown(self, wanted: NotificationFilter) -> tuple[Share, ...]:
        """Those that match, by channel and status, the largest share first."""
        async with self._database.read() as connection:
            return await listing.breakdown(connection, wanted)

    async def matching_ids(
        self, wanted: NotificationFilter, *, limit: int, after: str | None = None
    ) -> IdPage:
        """The ids of those that match, oldest first.

        Raises:
            InvalidCursorError: `after` is not the `next` of a page.
        """
        async with self._database.read() as connection:
            return await listing.matching_ids(connection, wanted, limit, after)

    async def accepted_span(self, wanted: NotificationFilter) -> tuple[datetime, datetime] | None:
        """When the oldest and the newest of those that match were accepted; None if there are none."""
        async with self._database.read() as connection:
            return await listing.accepted_span(connection, wanted)

    async def states(self, ids: Sequence[str]) -> tuple[NotificationState, ...]:
        """Where those of up to 500 ids that exist stand, in any order."""
        async with self._database.read() as connection:
            return await listing.states(connection, ids)

    async def requeue_all(self, ids: Sequence[str], *, actor: str | None = None) -> BulkReport:
        """`requeue` for up to 500, in one transaction."""
        report = await self._database.write(bulk.requeue_all, self._bulk(ids, actor))
        self._database.changes.announce()
        return report

    async def mark_all_read(self, ids: Sequence[str], *, actor: str | None = None) -> BulkReport:
        """`mark_read` for up to 500, in one transaction."""
        report = await self._database.write(bulk.mark_all_read, self._bulk(ids, actor))
        self._database.changes.committed()
        return report

    async def purge_all(
        self,
        ids: Sequence[str],
        *,
        statuses: Sequence[NotificationStatus],
        created_until: datetime,
        actor: str | None = None,
    ) -> BulkReport:
        """Delete up to 500 for good, in one transaction, with their attempts.

        Only those that are in one of `statuses` and were accepted before `created_until`; whatever
        `statuses` says, nothing that is still to be delivered.
        """
        purge = Bulk(tuple(ids), actor, statuses=tuple(statuses), created_until=created_until)
        report = await self._database.write(bulk.purge_all, purge)
        self._database.changes.committed()
        return report

    async def ids_beginning(self, prefix: str, limit: int) -> tuple[str, ...]:
        """At most `limit` ids, the greatest first."""
        async with self._database.read() as connection:
            return await lookups.ids_beginning(connection, prefix, limit)

    async def ids_ending(self, suffix: str, limit: int) -> tuple[str, ...]:
        """At most `limit` ids among those of the newest notifications."""
        async with self._database.read() as connection:
            return await lookups.ids_ending(connection, suffix, limit)

    async def similar_ids(self, given: str, limit: int = 200) -> tuple[str, ...]:
        """Ids among which may be the one that somebody meant by `given`."""
        async with self._database.read() as connection:
            return await lookups.similar_ids(connection, given, limit)

    async def channels_in_use(self) -> tuple[str, ...]:
        """The channels that notifications have, in order."""
        async with self._database.read() as connection:
            return await lookups.channels_in_use(connection)

    async def types_in_use(self) -> tuple[str, ...]:
        """The types that notifications have, in order."""
        async with self._database.read() as connection:
            return await lookups.types_in_use(connection)

    async def recent_values(self, field: lookups.ComparedField, *, limit: int) -> tuple[str, ...]:
        """The different recipients or certificates of the newest `limit` notifications."""
        async with self._database.read() as connection:
            return await lookups.recent_values(connection, field, limit)

    async def failure_groups(self, wanted: NotificationFilter, *, limit: int) -> tuple[FailureGroup, ...]:
        """The dead and failing that match, in groups alike, the largest first, at most `limit` groups."""
        async with self._database.read() as connection:
            return await failure_groups.failure_groups(connection, wanted, limit)

    def _bulk(self, ids: Sequence[str], actor: str | None) -> Bulk:
        return Bulk(tuple(ids), actor, self._rescue)

    async def next_due_at(self, *, after: datetime, channels: Collection[str]) -> datetime | None:
        """When something next becomes due later than `after`: a retry of one of the channels, or any lease
        that expires.

        With the time of a claim's look, what became due since then is included: nobody has looked at it.
        """
        # Deliveries wait for the answer, so the limit is shorter than that of other queries.
        async with self._database.read() as connection, asyncio.timeout(NEXT_DUE_TIMEOUT.total_seconds()):
            if self._rescue_after is not None:
                return await rescue.next_due_at(connection, after, channels, self._rescue_after)
            return await queue_stats.next_due_at(connection, after, channels)

    async def heartbeat(self, process: Heartbeat) -> datetime:
        """Register a process that delivers, or say that it is still alive.

        Returns since when it has been alive without a gap.
        """
        return await self._database.write(heartbeat, process)

    async def leave(self, process: str) -> None:
        """The process of this name delivers nothing more."""
        await self._database.write(leave, process)

    async def processes(self) -> tuple[DeliveringProcess, ...]:
        """The live processes that deliver."""
        async with self._database.read() as connection:
            return await processes.live_processes(connection, self._database.clock())

    async def unserved_channels(self) -> tuple[UnservedChannel, ...]:
        """The channels that no live process has, though notifications wait for them."""
        async with self._database.read() as connection:
            live = await processes.live_processes(connection, self._database.clock())
            served = {channel for process in live for channel in process.channels}
            return await processes.unserved_channels(connection, served)

    async def stuck_channels(self, after: timedelta) -> tuple[UnservedChannel, ...]:
        """The channels with notifications that certctl's server, which delivers, has left undelivered for
        longer than `after`, and that no live process has."""
        async with self._database.read() as connection:
            now = self._database.clock()
            live = await processes.live_processes(connection, now)
            served = {channel for process in live for channel in process.channels}
            return await rescue.stuck_channels(connection, now - after, served)

    async def settled_by_certctl(self, since: datetime) -> int:
        """How many notifications created later than `since` were sent, or failed, without an attempt of
        ours."""
        async with self._database.read() as connection:
            return await rescue.settled_by_certctl(connection, since)

    async def undeliverable_channels(self, after: timedelta) -> frozenset[str]:
        """The channels that no live process has had for `after`, with something due accepted before that."""
        now = self._database.clock()
        async with self._database.read() as connection:
            return await processes.undeliverable_channels(connection, now, now - after)

    async def count_by_status(self) -> dict[NotificationStatus, int]:
        """The number of notifications in each status."""
        async with self._database.read() as connection:
            return await queue_stats.count_by_status(connection)

    async def queue_counts(self) -> QueueCounts:
        """The queue's numbers for a summary."""
        async with self._database.read() as connection:
            counts = await queue_stats.queue_counts(connection)
            if not self._rescue:
                return counts
            return counts.model_copy(update={"next_retry_at": await rescue.next_rescue_at(connection)})

    async def channel_records(self, period: timedelta) -> tuple[ChannelRecord, ...]:
        """How attempts went over the last `period`, for each channel that had any."""
        since = self._database.clock() - period
        async with self._database.read() as connection:
            return tuple(await queue_stats.channel_records(connection, since))

    async def delivery_figures(self, since: datetime, until: datetime) -> Deliveries:
        """What came of the attempts begun from `since` on and before `until`."""
        async with self._database.read() as connection:
            return await delivery_stats.delivery_figures(connection, since, until)

    async def deliveries_over_time(
        self, since: datetime, until: datetime, *, beginning: datetime, step: timedelta
    ) -> tuple[DeliveryStep, ...]:
        """The same attempts by outcome, in steps that follow one another from `beginning` on."""
        async with self._database.read() as connection:
            return await delivery_stats.deliveries_over_time(
                connection, since, until, beginning=beginning, step=step
            )

    async def _finish(
        self,
        claim: Claim,
        duration: timedelta,
        outcome: AttemptOutcome,
        error: str | None,
        transition: Transition,
        *,
        permanent: bool = False,
    ) -> bool:
        successors: Sequence[Notification] = ()
        if transition.status is NotificationStatus.DEAD:
            successors = self._successors(
                Death(
                    notification=claim.notification,
                    error=transition.last_error or "",
                    permanent=permanent,
                    at=self._database.clock(),
                )
            )
        finished = Finished(claim, duration, outcome, error, transition, successors)
        # Whoever is to attempt it again, or what follows from it, hears of that together with what happened.
        repeatable = outcome is not AttemptOutcome.ABANDONED and not successors
        on_time = await self._database.write(finish, finished, repeatable=repeatable)
        if successors:
            self._database.changes.announce()
        else:
            self._database.changes.committed()
        return on_time


def _unchanged(claim: Claim) -> Transition:
    n = claim.notification
    return Transition(
        n.status, n.retry_count, next_retry_at=n.next_attempt_at, error=n.error, last_error=n.last_error
    )


def _out_of_reach(successors: Successors) -> Successors:
    return lambda death: tuple(map(out_of_reach, successors(death)))
