"""The repository: each step of a notification's life as one method, named as in the contract."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import anyio

from storage.channel_state import UNLIMITED, Ended, Failed, Pause, Worked
from storage.database import Database
from storage.errors import StorageError
from storage.ids import new_notification_id
from storage.models import (
    Accepted,
    AttemptOutcome,
    AuditAction,
    BulkReport,
    Claim,
    Death,
    NewNotification,
    Notification,
    NotificationStatus,
)
from storage.operations import audit, bulk
from storage.operations.accept import Offer, accept, hidden_from_certctl, pending
from storage.operations.bulk import Bulk
from storage.operations.channel_pauses import PauseChange, change_pauses
from storage.operations.channel_states import Report, report
from storage.operations.claim import claim
from storage.operations.claim_guarded import claim_guarded
from storage.operations.claim_postgresql import claim_rest
from storage.operations.claim_request import ClaimRequest, Claims
from storage.operations.counts import can_be_folded, fold_counts
from storage.operations.keep_figures import Counted, FigurePeriod, have_ended, keep, mark, newest_transaction
from storage.operations.leases import MAX_ABANDONED, Held, Renewal, end_leases, release, renew
from storage.operations.outcomes import Finished, Transition, finish
from storage.operations.processes import Heartbeat, heartbeat, leave
from storage.operations.requeue import Request, mark_read, requeue
from storage.operations.retention import Expired, Expiry, delete_expired
from storage.operations.successors import Successors, no_successors
from storage.queries.kept_figures import figures_of
from storage.reader import NotificationReader

ENDS_SOON = timedelta(seconds=2)
"""How long figures wait for other transactions on PostgreSQL to end. Ours take a fraction of a second."""

_POLL_INTERVAL = timedelta(milliseconds=20)


class NotificationRepository(NotificationReader):
    """Notifications in one database, shared by any number of processes.

    Every change is one atomic step: durable when its call returns, or not made at all. All methods raise
    `StorageError` when the database can't be used.
    """

    def __init__(
        self,
        database: Database,
        *,
        successors: Successors = no_successors,
        on_successors: Callable[[Sequence[Notification]], None] = lambda accepted: None,
        rescue_after: timedelta | None = None,
    ) -> None:
        """When a notification becomes a dead letter, `successors` returns the notifications to accept, and
        `on_successors` is called with those that were accepted.

        `rescue_after`: certctl's server delivers on this database. Then only notifications that it has left
        undelivered for longer than this, or that are accepted or requeued here, are claimed.
        """
        super().__init__(database, rescue_after=rescue_after)
        self._rescue = rescue_after is not None
        self._on_successors = on_successors
        self._successors = _hidden_from_certctl(successors) if self._rescue else successors

    async def accept(self, new: NewNotification, *, actor: str | None = None) -> Accepted:
        """Store an alert durably. Once this returns, the alert survives a crash or power loss.

        Here and elsewhere, `actor` is who makes the change. If given, the change is recorded in the audit
        log.

        Raises:
            IdempotencyConflictError: its key was accepted before with different contents.
            UnknownCertificateError: certctl's database has no such certificate.
        """
        notification = pending(new, new_notification_id(), self._database.clock())
        if self._rescue:
            notification = hidden_from_certctl(notification)
        # Its id is unique, so a repeated write is harmless; but the audit entry must be in the same
        # transaction.
        offer = Offer(notification, actor)
        accepted = await self._database.write(accept, offer, repeatable=actor is None, adds=True)
        self._database.changes.announce()
        return accepted

    async def record_test(self, notification_id: str, *, actor: str) -> None:
        """Record in the audit log that `actor` tested a channel; the test itself is not stored."""
        entry = audit.Entry(AuditAction.TEST, notification_id, self._database.clock(), actor)
        await self._database.write(audit.append, entry)

    async def claim(self, request: ClaimRequest) -> Claims:
        """Claim due notifications, oldest first. No other worker gets them while the lease lasts."""
        request = replace(request, rescue_after=self._rescue_after)
        found = await self._database.write(claim, request, repeatable=True)
        if found.lease_expired:
            held = Held(request.held, request.lease, self._successors)
            self._on_successors(await self._database.write(end_leases, held))
            # The database notifies the other processes. This claim may leave some of what is due, so wake
            # this one too.
            self._database.changes.due.announce()
            request = replace(request, stop_at_expired_lease=False)
            found = await self._database.write(claim, request, repeatable=True)
        if found.contended:
            # The first claims are leased, and are attempted even if claiming the rest fails.
            try:
                rest = await self._database.write(claim_rest, request.without(found.claims))
            except StorageError:
                return replace(found, more_when_ended=True)
            found = replace(found, claims=found.claims + rest)
        if found.guarded:
            wanted = replace(request.without(found.claims), channels=found.guarded)
            try:
                more = await self._database.write(claim_guarded, wanted)
            except StorageError:
                if not found.claims:
                    raise
                return replace(found, more_when_ended=True)
            found = replace(
                found,
                claims=found.claims + more.claims,
                opens_at=more.opens_at,
                more_when_ended=more.more_when_ended,
            )
        return found

    async def record_sent(self, claim: Claim, duration: timedelta) -> bool:
        """The attempt delivered the notification. Like every outcome, returns False if the lease was lost."""
        transition = Transition(
            NotificationStatus.SENT,
            claim.notification.retry_count,
            sent_at=self._database.clock(),
            last_error=claim.notification.last_error,
        )
        return await self._finish(claim, duration, AttemptOutcome.SENT, None, transition)

    async def record_failed_attempt(
        self, claim: Claim, duration: timedelta, error: str, wait: timedelta, report: Report | None = None
    ) -> bool:
        """The attempt failed; the next one is due after `wait`.

        Here and below, `report` is what the attempt shows about its channel.
        """
        now = self._database.clock()
        transition = Transition(
            NotificationStatus.FAILED,
            claim.notification.retry_count + 1,
            next_retry_at=now + wait,
            scheduled_at=now,
            last_error=error,
            # While the channel is held, the notification keeps its place in the backlog.
            wait_count=int(report is not None and isinstance(report.event, Failed)),
        )
        return await self._finish(claim, duration, AttemptOutcome.FAILED, error, transition, report)

    async def record_failed_probe(
        self, claim: Claim, duration: timedelta, error: str, report: Report | None = None
    ) -> bool:
        """The attempt showed that its channel must still be held. It uses up no retry, and the notification
        is due again when the channel opens."""
        now = self._database.clock()
        transition = Transition(
            NotificationStatus.FAILED,
            claim.notification.retry_count,
            next_retry_at=now,
            scheduled_at=now,
            last_error=error,
            wait_count=1,
        )
        return await self._finish(claim, duration, AttemptOutcome.FAILED, error, transition, report)

    async def record_told_to_wait(
        self, claim: Claim, duration: timedelta, error: str, wait: timedelta, report: Report | None = None
    ) -> bool:
        """The receiver refuses everything for now. This uses up no retry; the next attempt is due after
        `wait`."""
        now = self._database.clock()
        transition = Transition(
            NotificationStatus.FAILED,
            claim.notification.retry_count,
            next_retry_at=now + wait,
            scheduled_at=now,
            last_error=error,
            wait_count=claim.notification.wait_count + 1,
            waiting_since=claim.notification.waiting_since or now,
        )
        return await self._finish(claim, duration, AttemptOutcome.TOLD_TO_WAIT, error, transition, report)

    async def mark_as_dead(
        self,
        claim: Claim,
        duration: timedelta,
        error: str,
        report: Report | None = None,
        *,
        permanent: bool = False,
    ) -> bool:
        """The attempt failed, and no attempts are left. The retry count stays as evidence.

        `permanent`: the alert can never be delivered, even if attempts are left.
        """
        transition = Transition(NotificationStatus.DEAD, claim.notification.retry_count, last_error=error)
        return await self._finish(
            claim, duration, AttemptOutcome.DEAD, error, transition, report, permanent=permanent
        )

    async def record_skipped(self, claim: Claim, reason: str) -> bool:
        """Settle a notification that can't be delivered, for this reason, as undelivered."""
        transition = Transition(
            NotificationStatus.SENT,
            claim.notification.retry_count,
            error=reason,
            last_error=claim.notification.last_error,
        )
        return await self._finish(claim, timedelta(0), AttemptOutcome.SKIPPED, reason, transition)

    async def record_abandoned(self, claim: Claim, duration: timedelta, reason: str) -> bool:
        """The attempt was interrupted without an outcome; the notification is due again at once."""
        return await self._finish(claim, duration, AttemptOutcome.ABANDONED, reason, _unchanged(claim))

    async def record_crash(self, claim: Claim, duration: timedelta, reason: str, wait: timedelta) -> bool:
        """The process that made the attempt died: an abandoned attempt; the next one is due after `wait`."""
        n = claim.notification
        if n.abandoned_count + 1 >= MAX_ABANDONED:
            last_error = f"abandoned {MAX_ABANDONED} times: {reason}"
            transition = Transition(
                NotificationStatus.DEAD, n.retry_count, last_error=last_error, abandoned=1
            )
        else:
            now = self._database.clock()
            transition = Transition(
                NotificationStatus.FAILED,
                n.retry_count,
                next_retry_at=now + wait,
                scheduled_at=now,
                last_error=reason,
                abandoned=1,
            )
        return await self._finish(claim, duration, AttemptOutcome.ABANDONED, reason, transition)

    async def renew(self, claim: Claim, lease: timedelta) -> datetime | None:
        """Extend the claim's lease to `lease` from now. Returns when it ends; None if the lease was lost."""
        return await self._database.write(renew, Renewal(claim, lease))

    async def report(self, channel_report: Report) -> None:
        """Record what an attempt showed about its channel."""
        await self._database.write(report, channel_report)
        self._database.changes.announce()

    async def pause_channel(self, channel: str, pause: Pause, *, actor: str) -> None:
        """Attempt nothing over the channel until the pause ends or is ended."""
        await self._database.write(change_pauses, PauseChange(channel, pause, actor))
        self._database.changes.announce()

    async def resume_channel(self, channel: str, *, actor: str) -> bool:
        """End the pause of a channel; false if it was not paused."""
        paused = await self._database.write(change_pauses, PauseChange(channel, None, actor))
        self._database.changes.announce()
        return paused

    async def release(self, claim: Claim) -> bool:
        """Release a claim whose attempt never began, as if it had not been claimed."""
        return await self._database.write(release, claim)

    async def requeue(self, notification_id: str, *, actor: str | None = None) -> Notification:
        """Make a dead or failed notification pending, with its retry count and last error reset.

        Raises:
            NotificationNotFoundError: there is no such notification.
            NotificationConflictError: its status does not allow it, or an attempt is under way.
        """
        request = Request(notification_id, actor, self._rescue)
        notification = await self._database.write(requeue, request)
        self._database.changes.announce()
        return notification

    async def mark_read(self, notification_id: str, *, actor: str | None = None) -> Notification:
        """Mark a notification as settled, whether or not it was delivered.

        Raises:
            NotificationNotFoundError: there is no such notification.
            NotificationConflictError: an attempt is under way.
        """
        request = Request(notification_id, actor)
        notification = await self._database.write(mark_read, request)
        self._database.changes.committed()
        return notification

    async def requeue_all(self, ids: Sequence[str], *, actor: str | None = None) -> BulkReport:
        """`requeue` up to 500 notifications in one transaction."""
        report = await self._database.write(bulk.requeue_all, self._bulk(ids, actor))
        self._database.changes.announce()
        return report

    async def mark_all_read(self, ids: Sequence[str], *, actor: str | None = None) -> BulkReport:
        """`mark_read` up to 500 notifications in one transaction."""
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
        """Permanently delete up to 500 notifications and their attempts, in one transaction.

        Only notifications that have one of `statuses` and were accepted before `created_until` are deleted.
        Notifications that are still to be delivered, and those by which certctl remembers its alerts, are
        kept whatever `statuses` contains.
        """
        purge = Bulk(
            tuple(ids),
            actor,
            statuses=tuple(statuses),
            created_until=created_until,
            beside_certctl=self.shared_with_certctl,
        )
        report = await self._database.write(bulk.purge_all, purge)
        self._database.changes.committed()
        return report

    async def delete_expired(self, batch: Expiry) -> Expired:
        """Delete a batch of expired rows, with their attempts, and audit it.

        `after` of the result continues with the next batch.
        """
        batch = replace(batch, beside_certctl=self.shared_with_certctl)
        expired = await self._database.write(delete_expired, batch)
        self._database.changes.committed()
        return expired

    async def keep_figures(self, periods: Sequence[FigurePeriod]) -> int:
        """Keep the figures of past hours or days, from which reports are then read. Returns their number.

        Periods that have figures, or in which something is changing, are left out, and all of them if other
        transactions on the database run for long.
        """
        marks = await self._database.write(mark, periods)
        if not marks:
            return 0
        for _ in range(2):
            newest = await self._database.write(newest_transaction, None)
            if not await self._end_soon(newest):
                return 0
        kept = 0
        for marked in marks:
            figures = await self._database.read(figures_of, marked, newest)
            if figures is not None:
                kept += await self._database.write(keep, Counted(marked, figures))
        return kept

    async def _end_soon(self, before: int | None) -> bool:
        """Wait until all transactions with lower numbers have ended; false if some run for long."""
        for _ in range(ENDS_SOON // _POLL_INTERVAL):
            if await self._database.read(have_ended, before):
                return True
            await anyio.sleep(_POLL_INTERVAL.total_seconds())
        return False

    def _bulk(self, ids: Sequence[str], actor: str | None) -> Bulk:
        return Bulk(tuple(ids), actor, self._rescue)

    async def heartbeat(self, process: Heartbeat) -> datetime:
        """Register a process that delivers, or report that it is still alive.

        Returns since when it has been alive without interruption.
        """
        return await self._database.write(heartbeat, process)

    async def fold_counts(self) -> None:
        """Keep the counts by status fast to read: once in a while, while notifications are delivered."""
        again = await self._database.read(can_be_folded)
        while again:
            again = await self._database.write(fold_counts, None)

    async def leave(self, process: str) -> None:
        """Record that the process with this name has stopped delivering."""
        await self._database.write(leave, process)

    async def _finish(
        self,
        claim: Claim,
        duration: timedelta,
        outcome: AttemptOutcome,
        error: str | None,
        transition: Transition,
        channel_report: Report | None = None,
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
        # A success, and the end of a single attempt, need reporting only if the channel was in trouble, which
        # is known once the outcome is written.
        works = outcome is AttemptOutcome.SENT or (
            channel_report is not None and isinstance(channel_report.event, Worked)
        )
        failure_report = None if works else channel_report
        finished = Finished(claim, duration, outcome, error, transition, successors, failure_report)
        # Making it due again, or accepting successors, must be announced in the same transaction.
        repeatable = outcome is not AttemptOutcome.ABANDONED and not successors and failure_report is None
        recorded = await self._database.write(finish, finished, repeatable=repeatable)
        if recorded.channel_in_trouble and outcome is not AttemptOutcome.TOLD_TO_WAIT:
            # If this can't be written, the next attempt reports the same.
            with suppress(StorageError):
                event = Worked(claim.started_at) if works else Ended(claim.started_at)
                rules = UNLIMITED if channel_report is None else channel_report.rules
                await self.report(Report(claim.notification.channel, event, rules))
        if successors:
            self._on_successors(recorded.successors)
            self._database.changes.announce()
        else:
            self._database.changes.committed()
        return recorded.on_time


def _unchanged(claim: Claim) -> Transition:
    n = claim.notification
    return Transition(
        n.status,
        n.retry_count,
        next_retry_at=n.next_attempt_at,
        error=n.error,
        last_error=n.last_error,
        wait_count=n.wait_count,
    )


def _hidden_from_certctl(successors: Successors) -> Successors:
    return lambda death: tuple(map(hidden_from_certctl, successors(death)))
