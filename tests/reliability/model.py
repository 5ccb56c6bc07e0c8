"""The life cycle of a notification in the contract, as a model too simple to be wrong."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from storage.models import AttemptOutcome, BulkReport, Claim, NotificationStatus

DEAD_AFTER_ABANDONED = 10
SUSPECT_AFTER_ABANDONED = 3
NEVER_ANSWERED = "the worker reported no outcome before its lease expired"
LONGEST_LEASE = timedelta(hours=1)
LONGEST_WAIT = timedelta(days=14)
"""A lease or retry further ahead was written by a wrong clock."""
CLOCK_TOLERANCE = timedelta(minutes=1)
"""A retry scheduled this far in the future was written by a wrong clock, too."""
REQUESTED_WAIT = timedelta(minutes=3)
HOPELESS = "abandoned 10 times: no worker that attempted it ever reported an outcome"


@dataclass
class ModelAttempt:
    worker: str
    started_at: datetime
    duration: timedelta | None
    outcome: AttemptOutcome
    error: str | None
    late: bool


@dataclass
class Lease:
    worker: str
    number: int
    claimed_at: datetime
    expires_at: datetime


@dataclass
class Row:
    id: str
    channel: str
    created_at: datetime
    idempotency_key: str | None
    status: NotificationStatus = NotificationStatus.PENDING
    retry_count: int = 0
    next_retry_at: datetime | None = None
    scheduled_at: datetime | None = None
    last_error: str | None = None
    error: str | None = None
    sent_at: datetime | None = None
    read_at: datetime | None = None
    lease: Lease | None = None
    attempt_count: int = 0
    abandoned_count: int = 0
    wait_count: int = 0
    waiting_since: datetime | None = None
    attempts: dict[int, ModelAttempt] = field(default_factory=dict)

    @property
    def suspect(self) -> bool:
        return self.abandoned_count >= SUSPECT_AFTER_ABANDONED

    def due_since(self) -> datetime | None:
        """When it became due; None if it isn't waiting for an attempt."""
        if self.lease is not None:
            return None
        if self.status is NotificationStatus.PENDING:
            return self.created_at
        if self.status is NotificationStatus.FAILED:
            return self.created_at if self.wait_count else self.next_retry_at or self.created_at
        return None


@dataclass
class Queue:
    """Every method is one transition, named as in the contract."""

    now: datetime
    rows: dict[str, Row] = field(default_factory=dict)
    clocks_differ: bool = False
    """Whether processes use their own clocks, which may be wrong, instead of the database's."""

    def accept(self, notification_id: str, channel: str, idempotency_key: str | None) -> None:
        assert notification_id not in self.rows
        self.rows[notification_id] = Row(notification_id, channel, self.now, idempotency_key)

    def with_key(self, idempotency_key: str | None) -> Row | None:
        if idempotency_key is None:
            return None
        return next((row for row in self.rows.values() if row.idempotency_key == idempotency_key), None)

    def end_leases(self, ids: Collection[str] | None = None) -> None:
        """End the expired leases of all rows, as a claim does, or of those acted on."""
        for row in self.rows.values():
            if ids is not None and row.id not in ids:
                continue
            if row.lease is not None and self._is_over(row.lease):
                self._record(
                    row, row.lease, AttemptOutcome.ABANDONED, NEVER_ANSWERED, duration=None, late=False
                )
                row.lease = None
                row.abandoned_count += 1
                never_answered = sum(a.outcome is AttemptOutcome.ABANDONED for a in row.attempts.values())
                if min(row.abandoned_count, never_answered) >= DEAD_AFTER_ABANDONED:
                    row.status = NotificationStatus.DEAD
                    row.next_retry_at = None
                    row.last_error = HOPELESS

    def reschedule_after_a_wrong_clock(self) -> None:
        """Make retries from a wrong clock due now, as a claim does when it finds one."""
        for row in self.rows.values():
            if row.next_retry_at is None or row.scheduled_at is None or not self.clocks_differ:
                continue
            too_far = row.next_retry_at > self.now + LONGEST_WAIT
            if too_far or row.scheduled_at > self.now + CLOCK_TOLERANCE:
                row.next_retry_at = row.scheduled_at = self.now

    def due(self, slots: int, room: int, *, suspects: bool, channels: Collection[str]) -> list[datetime]:
        """When the notifications of a claim became due: the oldest of its channels, `room` of each."""
        by_channel: dict[str, list[datetime]] = {}
        for row in self.rows.values():
            since = row.due_since()
            if row.channel not in channels:
                continue
            if since is None or row.suspect is not suspects:
                continue
            scheduled = row.next_retry_at if row.status is NotificationStatus.FAILED else None
            if scheduled is None or scheduled <= self.now:
                by_channel.setdefault(row.channel, []).append(since)
        fitting = [since for waiting in by_channel.values() for since in sorted(waiting)[:room]]
        return sorted(fitting)[:slots]

    def claim(self, claim: Claim) -> datetime:
        """Record a claim that was made; returns when its row became due."""
        row = self.rows[claim.notification.id]
        since = row.due_since()
        assert since is not None, "two live claims for one notification"
        row.attempt_count += 1
        row.lease = Lease(claim.worker, row.attempt_count, self.now, claim.expires_at)
        return since

    def holds(self, claim: Claim) -> bool:
        row = self.rows.get(claim.notification.id)
        lease = row.lease if row else None
        return lease is not None and (lease.worker, lease.number) == (claim.worker, claim.number)

    def release(self, claim: Claim) -> bool:
        held = self.holds(claim)
        if held:
            self.rows[claim.notification.id].lease = None
        return held

    def finish(self, claim: Claim, outcome: AttemptOutcome, error: str | None, duration: timedelta) -> bool:
        row, held = self.rows.get(claim.notification.id), self.holds(claim)
        if row is None:
            return False
        lease = Lease(claim.worker, claim.number, claim.started_at, claim.expires_at)
        known = row.attempts.get(claim.number)
        repeated = known is not None and (known.worker, known.outcome, known.late) == (
            claim.worker,
            outcome,
            False,
        )
        self._record(row, lease, outcome, error, duration=duration, late=not held)
        if held:
            row.lease = None
            self._move(row, outcome, error)
        return held or (repeated and outcome is not AttemptOutcome.ABANDONED)

    def requeue(self, notification_id: str) -> bool:
        self.end_leases([notification_id])
        row = self.rows.get(notification_id)
        if row is None or row.lease:
            return False
        undelivered = row.status is NotificationStatus.SENT and row.sent_at is None
        if row.status not in (NotificationStatus.DEAD, NotificationStatus.FAILED) and not undelivered:
            return False
        row.status = NotificationStatus.PENDING
        row.retry_count = row.abandoned_count = row.wait_count = 0
        row.next_retry_at = row.waiting_since = row.last_error = row.error = None
        return True

    def mark_read(self, notification_id: str) -> bool:
        self.end_leases([notification_id])
        row = self.rows.get(notification_id)
        if row is None or row.lease:
            return False
        row.status = NotificationStatus.READ
        row.read_at = row.read_at or self.now
        row.next_retry_at = None
        return True

    def mark_unread_read(self, notification_id: str) -> bool:
        """As in a bulk action, which leaves those already read alone."""
        row = self.rows.get(notification_id)
        already = row is not None and row.status is NotificationStatus.READ
        return not already and self.mark_read(notification_id)

    def purge(self, notification_id: str, statuses: Collection[NotificationStatus], until: datetime) -> bool:
        self.end_leases([notification_id])
        row = self.rows.get(notification_id)
        if row is None or row.lease or row.status not in statuses or row.created_at >= until:
            return False
        if row.status in (NotificationStatus.PENDING, NotificationStatus.FAILED):
            return False
        del self.rows[notification_id]
        return True

    def each(self, ids: Collection[str], act: Callable[[str], bool]) -> BulkReport:
        """The report of a bulk action."""
        self.end_leases(ids)
        became: Counter[str] = Counter()
        for notification_id in set(ids):
            row = self.rows.get(notification_id)
            if row is None:
                became["missing"] += 1
            elif act(notification_id):
                became["changed"] += 1
            else:
                became["under_way" if row.lease else "other_status"] += 1
        return BulkReport(**became)

    def next_due_at(self, after: datetime) -> datetime | None:
        """When something becomes due next for a worker whose last claim was at `after`."""
        retries = [row.next_retry_at for row in self.rows.values() if row.next_retry_at]
        leases = [row.lease.expires_at for row in self.rows.values() if row.lease]
        return min([moment for moment in retries if moment > after] + leases, default=None)

    def _is_over(self, lease: Lease) -> bool:
        ahead = lease.expires_at - self.now
        return ahead <= timedelta(0) or (self.clocks_differ and ahead > LONGEST_LEASE)

    def _move(self, row: Row, outcome: AttemptOutcome, error: str | None) -> None:
        if outcome is not AttemptOutcome.ABANDONED:
            row.wait_count = row.wait_count + 1 if outcome is AttemptOutcome.TOLD_TO_WAIT else 0
        if outcome is AttemptOutcome.SENT:
            row.status, row.sent_at = NotificationStatus.SENT, self.now
            row.next_retry_at = None
        elif outcome is AttemptOutcome.SKIPPED:
            row.status, row.error = NotificationStatus.SENT, error
            row.next_retry_at = None
        elif outcome is AttemptOutcome.FAILED:
            minutes = {0: 1, 1: 2, 2: 4, 3: 8}[row.retry_count]
            row.status, row.last_error = NotificationStatus.FAILED, error
            row.next_retry_at = self.now + timedelta(minutes=minutes)
            row.scheduled_at = self.now
            row.retry_count += 1
        elif outcome is AttemptOutcome.TOLD_TO_WAIT:
            row.status, row.last_error = NotificationStatus.FAILED, error
            row.next_retry_at = self.now + REQUESTED_WAIT
            row.scheduled_at = self.now
            row.waiting_since = row.waiting_since or self.now
        elif outcome is AttemptOutcome.DEAD:
            row.status, row.last_error = NotificationStatus.DEAD, error
            row.next_retry_at = None

    def _record(
        self,
        row: Row,
        lease: Lease,
        outcome: AttemptOutcome,
        error: str | None,
        *,
        duration: timedelta | None,
        late: bool,
    ) -> None:
        known = row.attempts.get(lease.number)
        if known is None or known.outcome is AttemptOutcome.ABANDONED:
            row.attempts[lease.number] = ModelAttempt(
                lease.worker, lease.claimed_at, duration, outcome, error, late
            )
