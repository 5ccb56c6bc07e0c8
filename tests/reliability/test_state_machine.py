"""A state machine test of the contract: any order of accepts, claims, requeues and purges, with outcomes in
time, late, twice or never, even while a clock is a year ahead. Two processes share the database, which is
compared with a model."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from certctl_mcp.delivery.retry_policy import Dead
from storage.database import Database
from storage.errors import NotificationConflictError, NotificationNotFoundError
from storage.models import (
    OUR_STATUSES,
    Attempt,
    AttemptOutcome,
    Claim,
    Notification,
    NotificationFilter,
    NotificationStatus,
    Room,
)
from storage.repository import NotificationRepository
from tests import postgresql
from tests.builders import LEASE, NOON, RETRY_POLICY, TOOK, SettableClock, new_notification, request
from tests.context_in_task import ContextInTask
from tests.exploration import size
from tests.postgresql import Server
from tests.reliability import model

T = TypeVar("T")

EXAMPLES = size(short=15, long=500)
EXAMPLES_ON_POSTGRESQL = size(short=5, long=100)
"""After changing the code under test, run some hundreds."""

CHANNELS = ("Slack", "Email")
WORKERS = ("worker-1", "worker-2", "worker-3")
LAST_RETRY = 4
YEAR = timedelta(days=365)

sides = st.sampled_from((0, 1))
outcomes = st.sampled_from(AttemptOutcome)


class NotificationQueue(RuleBasedStateMachine):
    clocks_differ = True
    """Whether processes use their own clocks, which may be wrong."""
    notifications: Bundle[str] = Bundle("notifications")
    """Includes those that were purged."""
    claims: Bundle[Claim] = Bundle("claims")
    others = st.lists(notifications, max_size=5)

    @initialize()
    def open_from_two_processes(self) -> None:
        self.clock = SettableClock()
        self.model = model.Queue(NOON, clocks_differ=self.clocks_differ)
        self.accepted: set[str] = set()
        self.runner = asyncio.Runner()
        self.create()
        self.contexts = [ContextInTask(Database.open(self.url, clock=self.clock)) for _ in range(2)]
        self.sides = [NotificationRepository(self.run(context.enter())) for context in self.contexts]
        self.last_claim_at: list[datetime | None] = [None for _ in self.sides]

    def teardown(self) -> None:
        if hasattr(self, "contexts"):
            for context in self.contexts:
                self.run(context.exit())
            self.drop()
            self.runner.close()

    def create(self) -> None:
        self.directory = TemporaryDirectory()
        self.url = f"sqlite:///{Path(self.directory.name) / 'notifications.db'}"

    def drop(self) -> None:
        self.directory.cleanup()

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(step)

    @rule(
        target=notifications,
        side=sides,
        channel=st.sampled_from(CHANNELS),
        key=st.sampled_from((None, None, "key-1", "key-2")),
    )
    def accept(self, side: int, channel: str, key: str | None) -> Any:
        known = self.model.with_key(key)
        new = new_notification(channel=known.channel if known else channel, idempotency_key=key)
        accepted = self.run(self.sides[side].accept(new))
        assert accepted.created is (known is None)
        if known is not None:
            assert accepted.notification == expected(known)
            return multiple()
        self.model.accept(accepted.notification.id, channel, key)
        self.accepted.add(accepted.notification.id)
        return accepted.notification.id

    @rule(
        target=claims,
        side=sides,
        worker=st.sampled_from(WORKERS),
        slots=st.integers(0, 4),
        room=st.integers(0, 3),
        suspects=st.booleans(),
        lease=st.sampled_from((LEASE, LEASE * 4)),
        channels=st.sampled_from((CHANNELS, CHANNELS, *((channel,) for channel in CHANNELS), ())),
    )
    def claim(
        self,
        side: int,
        worker: str,
        slots: int,
        room: int,
        suspects: bool,
        lease: timedelta,
        channels: tuple[str, ...],
    ) -> Any:
        return multiple(
            *self._claim(side, worker, slots, room, suspects=suspects, lease=lease, channels=channels)
        )

    @rule(notification=notifications, times=st.integers(1, 5))
    def fail_repeatedly(self, notification: str, times: int) -> None:
        for _ in range(times):
            for claim in self._claim_only(notification, WORKERS[0]):
                self.finish(0, claim, AttemptOutcome.FAILED)
            self.pass_time(timedelta(minutes=8))

    @rule(notification=notifications, times=st.integers(1, 10))
    def abandon_repeatedly(self, notification: str, times: int) -> None:
        for _ in range(times):
            self._claim_only(notification, WORKERS[0])
            self.pass_time(LEASE)

    @rule(duration=st.sampled_from((timedelta(seconds=1), LEASE, timedelta(minutes=2), timedelta(hours=1))))
    def pass_time(self, duration: timedelta) -> None:
        self.clock.advance(duration)
        self.model.now = self.clock()

    @precondition(lambda self: self.clocks_differ)
    @rule()
    def jump_the_clock(self) -> None:
        self.pass_time(YEAR if self.clock() < NOON + YEAR else -YEAR)

    @rule(side=sides, claim=claims, outcome=outcomes)
    def finish(self, side: int, claim: Claim, outcome: AttemptOutcome) -> None:
        on_time = self.run(self._finish(side, claim, outcome))
        assert on_time is self._expect_finish(claim, outcome)

    @rule(side=sides, first=claims, second=claims, outcome=outcomes)
    def finish_two_at_once(self, side: int, first: Claim, second: Claim, outcome: AttemptOutcome) -> None:
        assume(first != second)
        self._finish_together(side, [first, second], outcome)

    @rule(
        target=claims,
        notification=notifications,
        workers=st.tuples(st.sampled_from(WORKERS), st.sampled_from(WORKERS)),
        outcome=outcomes,
        together=st.booleans(),
    )
    def finish_after_another_took_over(
        self, notification: str, workers: tuple[str, str], outcome: AttemptOutcome, together: bool
    ) -> Any:
        first = self._claim_only(notification, workers[0])
        self.pass_time(LEASE)
        second = self._claim_only(notification, workers[1])
        if first and together:
            self._finish_together(0, [*first, *second], outcome)
        for claim in first:
            self.finish(1, claim, outcome)
        return multiple(*first, *second)

    @rule(side=sides, claim=claims)
    def release(self, side: int, claim: Claim) -> None:
        assert self.run(self.sides[side].release(claim)) is self.model.release(claim)

    @rule(side=sides, notification=notifications)
    def requeue(self, side: int, notification: str) -> None:
        allowed = self.model.requeue(notification)
        self._transition(notification, self.sides[side].requeue(notification), allowed=allowed)

    @rule(side=sides, notification=notifications)
    def mark_read(self, side: int, notification: str) -> None:
        allowed = self.model.mark_read(notification)
        self._transition(notification, self.sides[side].mark_read(notification), allowed=allowed)

    @rule(side=sides, notification=notifications, others=others)
    def requeue_in_bulk(self, side: int, notification: str, others: list[str]) -> None:
        ids = [notification, *others]
        report = self.model.each(ids, self.model.requeue)
        assert self.run(self.sides[side].requeue_all(ids)) == report

    @rule(side=sides, notification=notifications, others=others)
    def mark_read_in_bulk(self, side: int, notification: str, others: list[str]) -> None:
        ids = [notification, *others]
        report = self.model.each(ids, self.model.mark_unread_read)
        assert self.run(self.sides[side].mark_all_read(ids)) == report

    @rule(
        side=sides,
        notification=notifications,
        others=others,
        statuses=st.sets(st.sampled_from(OUR_STATUSES), min_size=3),
        age=st.sampled_from((timedelta(seconds=-1), timedelta(0), timedelta(hours=1))),
    )
    def purge_in_bulk(
        self,
        side: int,
        notification: str,
        others: list[str],
        statuses: set[NotificationStatus],
        age: timedelta,
    ) -> None:
        ids, until = [notification, *others], self.clock() - age
        report = self.model.each(ids, lambda each: self.model.purge(each, statuses, until))
        purging = self.sides[side].purge_all(ids, statuses=tuple(statuses), created_until=until)
        assert self.run(purging) == report

    @rule(side=sides)
    def restart_a_process(self, side: int) -> None:
        self.run(self.contexts[side].exit())
        self.contexts[side] = ContextInTask(Database.open(self.url, clock=self.clock))
        self.sides[side] = NotificationRepository(self.run(self.contexts[side].enter()))
        self.last_claim_at[side] = None

    @invariant()
    def rows_and_attempts_match_the_model(self) -> None:
        page = self.run(self.sides[0].list(NotificationFilter(), limit=500))
        assert {n.id: n for n in page.items} == {row.id: expected(row) for row in self.model.rows.values()}
        for row in self.model.rows.values():
            assert self.run(self.sides[1].attempts(row.id)) == expected_attempts(row)
        for purged in self.accepted - self.model.rows.keys():
            assert self.run(self.sides[1].attempts(purged)) == ()

    @invariant()
    def counts_match_the_model(self) -> None:
        counts = self.run(self.sides[0].queue_counts())
        rows = self.model.rows.values()
        found = Counter(row.status for row in rows)
        assert counts.by_status == {status: found[status] for status in OUR_STATUSES}
        sent = [row for row in rows if row.status is NotificationStatus.SENT]
        assert counts.undelivered == sum(row.sent_at is None for row in sent)
        for side in self.sides:
            assert self.run(side.count(NotificationFilter())) == len(rows)
        dead = [row.created_at for row in rows if row.status is NotificationStatus.DEAD]
        assert counts.oldest_dead_at == min(dead, default=None)

    @invariant()
    def next_due_time_matches_the_model(self) -> None:
        for side, claimed_at in zip(self.sides, self.last_claim_at, strict=True):
            after = claimed_at or self.model.now
            due_at = side.next_due_at(after=after, channels=CHANNELS)
            assert self.run(due_at) == self.model.next_due_at(after)

    def _claim(
        self,
        side: int,
        worker: str,
        slots: int,
        room: int,
        *,
        suspects: bool,
        lease: timedelta,
        channels: tuple[str, ...] = CHANNELS,
    ) -> tuple[Claim, ...]:
        self.model.end_leases()
        self.model.reschedule_after_a_wrong_clock()
        due = self.model.due(slots, room, suspects=suspects, channels=channels)
        repository = self.sides[side]
        wanted = request(worker, lease, slots, Room(room), suspects=suspects, channels=channels)
        found = self.run(repository.claim(wanted))
        self.last_claim_at[side] = found.as_of
        claims = found.claims
        assert [self.model.claim(claim) for claim in claims] == due
        for claim in claims:
            assert claim.notification == expected(self.model.rows[claim.notification.id])
        return claims

    def _claim_only(self, notification: str, worker: str) -> tuple[Claim, ...]:
        """Claim it if it is due, and release the others."""
        if notification not in self.model.rows:
            return ()
        suspect = self.model.rows[notification].suspect
        due = self._claim(0, worker, 50, 50, suspects=suspect, lease=LEASE)
        wanted = tuple(claim for claim in due if claim.notification.id == notification)
        for claim in due:
            if claim not in wanted:
                self.release(0, claim)
        return wanted

    def _finish_together(self, side: int, claims: list[Claim], outcome: AttemptOutcome) -> None:
        async def finish_all() -> list[bool]:
            return await asyncio.gather(*(self._finish(side, claim, outcome) for claim in claims))

        assert self.run(finish_all()) == [self._expect_finish(claim, outcome) for claim in claims]

    def _finish(self, side: int, claim: Claim, outcome: AttemptOutcome) -> Coroutine[Any, Any, bool]:
        repository = self.sides[side]
        if outcome is AttemptOutcome.SENT:
            return repository.record_sent(claim, TOOK)
        if outcome is AttemptOutcome.SKIPPED:
            return repository.record_skipped(claim, outcome)
        if outcome is AttemptOutcome.ABANDONED:
            return repository.record_abandoned(claim, TOOK, outcome)
        if outcome is AttemptOutcome.TOLD_TO_WAIT:
            return repository.record_told_to_wait(claim, TOOK, outcome, model.REQUESTED_WAIT)
        fate = RETRY_POLICY.after_failure(claim.notification.retry_count)
        if outcome is AttemptOutcome.DEAD or isinstance(fate, Dead):
            return repository.mark_as_dead(claim, TOOK, AttemptOutcome.DEAD)
        return repository.record_failed_attempt(claim, TOOK, outcome, fate.wait)

    def _expect_finish(self, claim: Claim, outcome: AttemptOutcome) -> bool:
        if outcome is AttemptOutcome.FAILED and claim.notification.retry_count == LAST_RETRY:
            outcome = AttemptOutcome.DEAD
        duration = timedelta(0) if outcome is AttemptOutcome.SKIPPED else TOOK
        error = None if outcome is AttemptOutcome.SENT else outcome.value
        return self.model.finish(claim, outcome, error, duration)

    def _transition(
        self, notification: str, step: Coroutine[Any, Any, Notification], *, allowed: bool
    ) -> None:
        row = self.model.rows.get(notification)
        if row is None:
            with pytest.raises(NotificationNotFoundError):
                self.run(step)
        elif allowed:
            assert self.run(step) == expected(row)
        else:
            with pytest.raises(NotificationConflictError) as conflict:
                self.run(step)
            assert conflict.value.status is row.status


def expected(row: model.Row) -> Notification:
    lease = row.lease
    return Notification(
        id=row.id,
        status=row.status,
        sent_at=row.sent_at,
        error=row.error,
        retry_count=row.retry_count,
        next_retry_at=row.next_retry_at,
        last_error=row.last_error,
        created_at=row.created_at,
        read_at=row.read_at,
        lease_owner=lease.worker if lease else None,
        lease_expires_at=lease.expires_at if lease else None,
        claimed_at=lease.claimed_at if lease else None,
        attempt_count=row.attempt_count,
        abandoned_count=row.abandoned_count,
        wait_count=row.wait_count,
        waiting_since=row.waiting_since,
        **new_notification(channel=row.channel, idempotency_key=row.idempotency_key).model_dump(),
    )


def expected_attempts(row: model.Row) -> tuple[Attempt, ...]:
    return tuple(
        Attempt(
            notification_id=row.id,
            number=number,
            started_at=attempt.started_at,
            duration=attempt.duration,
            outcome=attempt.outcome,
            error=attempt.error,
            worker=attempt.worker,
            late=attempt.late,
        )
        for number, attempt in sorted(row.attempts.items())
    )


@pytest.mark.postgresql
def test_notification_queue_on_postgresql(postgresql_server: Server) -> None:
    class QueueOnPostgreSQL(NotificationQueue):
        clocks_differ = False

        def create(self) -> None:
            self.url = self.run(postgresql.create_database(postgresql_server))

        def drop(self) -> None:
            self.run(postgresql.drop_database(postgresql_server, self.url))

    few = settings(max_examples=EXAMPLES_ON_POSTGRESQL, stateful_step_count=30, deadline=None)
    run_state_machine_as_test(QueueOnPostgreSQL, settings=few)


TestNotificationQueue = NotificationQueue.TestCase
TestNotificationQueue.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
