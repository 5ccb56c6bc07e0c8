"""The companion task: wakes when something is due, claims it, and starts its attempts.

It claims only what can start now: so many attempts in all, so many in each channel. A channel that hangs
fills its own places and no others.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from certctl_mcp.delivery import Answer, Delivery
from certctl_mcp.measuring import AttemptMeter
from storage.changes import Signal
from storage.clock import Clock, utc_now
from storage.errors import StorageError
from storage.models import AttemptOutcome, Claim, Notification, SweepReport
from storage.notifications import NotificationRepository

logger = logging.getLogger(__name__)

SWEEP_LIMIT = 1000
"""Notifications that one sweep attempts at most."""

SWEEP_TIMEOUT = timedelta(seconds=45)
"""How long a sweep is waited for; hosts cut a tool call off when it takes minutes."""

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=30)
"""The pauses while the database can't be used double from the first to the longest."""

CLEAN_UP = timedelta(seconds=2)
"""What is left, after the grace time, to record attempts that were broken off."""

Waiter = Callable[[asyncio.Event, timedelta], Awaitable[None]]
"""Waits until the event is set, but not longer than the time given."""


async def wait_at_most(event: asyncio.Event, time: timedelta) -> None:
    with anyio.move_on_after(time.total_seconds()):
        await event.wait()


class _Tally:
    """What a sweep waits for and counts."""

    def __init__(self) -> None:
        self.outcomes: Counter[AttemptOutcome] = Counter()
        self.changed = asyncio.Event()


class RetryLoop:
    """Attempts due notifications within the limits of one process.

    Used as an asynchronous context: leaving it drains. `run` is the loop; `sweep` attempts what is due
    once, beside a running loop or without one.
    """

    def __init__(
        self,
        repository: NotificationRepository,
        due: Signal,
        delivery: Delivery,
        *,
        worker: str,
        lease: timedelta,
        interval: timedelta,
        concurrency: int,
        channel_concurrency: Callable[[str], int],
        grace: timedelta,
        meter: AttemptMeter | None = None,
        clock: Clock = utc_now,
        wait: Waiter = wait_at_most,
    ) -> None:
        self._repository = repository
        self._due = due
        self._delivery = delivery
        self.meter = meter or AttemptMeter()
        self._worker = worker
        self._lease = lease
        self._interval = interval
        self._concurrency = concurrency
        self._channel_concurrency = channel_concurrency
        self._grace = grace
        self._clock = clock
        self._wait = wait
        self._tasks: TaskGroup
        self._claiming = asyncio.Lock()
        self._sweeping = asyncio.Lock()
        self._wake = asyncio.Event()
        self._stopped = asyncio.Event()
        self._claims: asyncio.Queue[Claim] = asyncio.Queue()
        self._workers = 0
        self._sending: Counter[str] = Counter()
        self._under_way = 0
        self._alone = False
        self._tallies: list[_Tally] = []

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._notice_changes)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        with anyio.CancelScope(shield=True):
            await self.wait_for_completion(self._grace)
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def run(self) -> None:
        """Attempt what is due as it becomes due, until stopped. An unusable database only delays it."""
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            self._wake.clear()
            try:
                if not await self._start_due(SWEEP_LIMIT):
                    await self._wait_for_work()
            except StorageError as failure:
                logger.warning("%s; trying again in %g s", failure, pause.total_seconds())
            except Exception:
                # The supervised edge: whatever is wrong, the loop goes on.
                logger.exception("a sweep failed; trying again in %g s", pause.total_seconds())
            else:
                pause = FIRST_PAUSE
                continue
            await self._wait(self._stopped, pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def try_once(self, notification: Notification) -> Answer:
        """Send something that is not in the queue, now and only now."""
        return await self._delivery.try_once(notification)

    async def sweep(self, limit: int = SWEEP_LIMIT, at_most: timedelta = SWEEP_TIMEOUT) -> SweepReport:
        """Attempt what is due now, at most `limit` of it, and report what came of it.

        Attempts under way at the beginning are counted too. What has not ended after `at_most` goes on
        and is reported as still under way. Sweeps of one process don't overlap.

        Raises:
            StorageError: what is due can't be claimed; nothing was sent.
        """
        tally = _Tally()
        started = 0
        with anyio.move_on_after(at_most.total_seconds()):
            async with self._sweeping:
                with self._counting(tally):
                    while True:
                        tally.changed.clear()
                        started += await self._start_due(limit - started)
                        if not self._under_way:
                            break
                        await tally.changed.wait()
        return SweepReport(
            sent=tally.outcomes[AttemptOutcome.SENT],
            failed=tally.outcomes[AttemptOutcome.FAILED],
            dead=tally.outcomes[AttemptOutcome.DEAD],
            skipped=tally.outcomes[AttemptOutcome.SKIPPED],
            still_under_way=self._under_way,
        )

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopped.set()
        self._wake.set()

    async def wait_for_completion(self, grace: timedelta) -> bool:
        """Wait for the attempts under way, not longer than `grace`; true if all have ended."""
        with anyio.move_on_after(grace.total_seconds()) as waiting, self._counting(_Tally()) as tally:
            # What a claim on its way takes is under way only when the claim is answered.
            async with self._claiming:
                pass
            while self._under_way:
                tally.changed.clear()
                await tally.changed.wait()
        return not waiting.cancelled_caught

    @contextmanager
    def _counting(self, tally: _Tally) -> Iterator[_Tally]:
        self._tallies.append(tally)
        try:
            yield tally
        finally:
            self._tallies.remove(tally)

    async def _start_due(self, limit: int) -> int:
        """Claim what is due and can start now, and start it."""
        async with self._claiming:
            started = await self._claim_and_start(limit, suspects=False)
            if not started and not self._under_way:
                # What may kill its worker is attempted when there is nobody else to be killed.
                started = await self._claim_and_start(min(limit, 1), suspects=True)
                self._alone = started > 0
            return started

    async def _claim_and_start(self, limit: int, *, suspects: bool) -> int:
        slots = min(limit, self._free_slots())
        if slots <= 0 or self._stopped.is_set() or self._alone:
            return 0
        # Cancelled in the middle, it would leave leases that nobody knows he holds.
        with anyio.CancelScope(shield=True):
            claims = await self._repository.claim(
                self._worker, self._lease, slots, self._room, suspects=suspects
            )
        for claim in claims:
            self._under_way += 1
            self._sending[claim.notification.channel] += 1
            self._claims.put_nowait(claim)
        # A worker stays for later claims: a new task for each would cost as much as claiming it.
        while self._workers < self._under_way:
            self._workers += 1
            self._tasks.start_soon(self._work)
        return len(claims)

    def _free_slots(self) -> int:
        return self._concurrency - self._sending.total()

    def _room(self, channel: str) -> int:
        return self._channel_concurrency(channel) - self._sending[channel]

    async def _work(self) -> None:
        while True:
            await self._attempt(await self._claims.get())

    async def _attempt(self, claim: Claim) -> None:
        answer: Answer | None = None
        try:
            try:
                answer = await self._answer(claim)
            finally:
                # The place is free before the outcome is written: both can share a transaction.
                self._sending[claim.notification.channel] -= 1
                self._wake.set()
            if answer is not None:
                self._count(claim, answer, await self._delivery.record(claim, answer))
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(CLEAN_UP.total_seconds(), shield=True):
                await self._delivery.record_cancelled(claim, answer)
            raise
        except Exception:
            # The supervised edge: the lease ends by itself and the notification is attempted again.
            logger.exception("the attempt of %s ended in an unexpected way", claim.notification.id)
        finally:
            self._under_way -= 1
            self._alone = False
            self._wake.set()
            for tally in self._tallies:
                tally.changed.set()

    async def _answer(self, claim: Claim) -> Answer | None:
        """What the attempt came to; None where it was not begun and the claim given back."""
        # A lease that might run out during the attempt would let another worker attempt it too.
        if self._stopped.is_set() or self._clock() + self._delivery.send_timeout > claim.expires_at:
            await self._repository.release(claim)
            return None
        return await self._delivery.attempt(claim)

    def _count(self, claim: Claim, answer: Answer, outcome: AttemptOutcome | None) -> None:
        self.meter.ended(claim.notification.channel, outcome, None if answer.skipped else answer.duration)
        if outcome is not None:
            for tally in self._tallies:
                tally.outcomes[outcome] += 1

    async def _wait_for_work(self) -> None:
        pause = self._interval
        # Nothing can be claimed without a free place: what becomes due then waits for the end of an attempt.
        can_claim = self._free_slots() and not self._alone
        if can_claim and (due := await self._repository.next_due_at()):
            pause = max(timedelta(0), min(pause, due - self._clock()))
        await self._wait(self._wake, pause)

    async def _notice_changes(self) -> None:
        version = self._due.version
        while True:
            version = await self._due.wait_beyond(version)
            self._wake.set()
