"""The retry loop: claims notifications as they become due and starts their attempts.

The scheduler decides when it polls for due notifications, the slots limit how many it claims, and the pool
runs the attempts.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from certctl_mcp.delivery.attempt import Delivery
from certctl_mcp.delivery.attempt_pool import AttemptEnd, AttemptPool
from certctl_mcp.delivery.metrics import AttemptMeter
from certctl_mcp.delivery.queue import DeliveryQueue
from certctl_mcp.delivery.scheduler import Poll, PollSuspects, QueryNextDue, Scheduler, Wait
from certctl_mcp.delivery.sender import Answer
from certctl_mcp.delivery.slots import Slots
from certctl_mcp.delivery.suspects import START_UP
from storage.channel_state import ChannelRules
from storage.clock import Clock, utc_now
from storage.engine.changes import Signal
from storage.errors import StorageError
from storage.models import AttemptOutcome, Claim, Notification, Room, SweepReport
from storage.operations.claim_request import ClaimRequest, Claims

logger = logging.getLogger(__name__)

SWEEP_LIMIT = 1000
"""The most notifications that one sweep attempts."""

SWEEP_TIMEOUT = timedelta(seconds=45)
"""The longest that a sweep waits for its attempts: MCP hosts cancel a tool call that takes minutes."""

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=30)
"""While the database can't be used, the pause between retries doubles from the first to the longest."""

Waiter = Callable[[asyncio.Event, timedelta], Awaitable[None]]
"""Waits until the event is set, but not longer than the given time."""


async def wait_at_most(event: asyncio.Event, time: timedelta) -> None:
    with anyio.move_on_after(time.total_seconds()):
        await event.wait()


class RetryLoop:
    """Attempts due notifications within the limits of one process.

    An asynchronous context manager; leaving it waits for attempts in flight. `run` is the loop. `sweep`
    attempts what is due once, with or without a running loop.
    """

    def __init__(
        self,
        queue: DeliveryQueue,
        due: Signal,
        delivery: Delivery,
        *,
        worker: str,
        lease: timedelta,
        interval: timedelta,
        concurrency: int,
        room: Room,
        channels: Collection[str],
        rules: Mapping[str, ChannelRules] | None = None,
        grace: timedelta,
        meter: AttemptMeter | None = None,
        clock: Clock = utc_now,
        wait: Waiter = wait_at_most,
    ) -> None:
        self._queue = queue
        self._due = due
        self._delivery = delivery
        self.meter = meter or AttemptMeter()
        self._worker = worker
        self._lease = lease
        self._channels = frozenset(channels)
        self._rules = rules or {}
        self._polled_at: datetime | None = None
        self._slots = Slots(concurrency, room, channels)
        self._scheduler = Scheduler(interval)
        self._attempts = AttemptPool(
            queue,
            delivery,
            self._slots,
            self.meter,
            clock,
            slot_freed=self._slot_freed,
            attempt_ended=self._attempt_ended,
            sleep=lambda time: wait(asyncio.Event(), time),
        )
        self._grace = grace
        self._clock = clock
        self._wait = wait
        self._tasks: TaskGroup
        self._claiming = asyncio.Lock()
        self._sweeping = asyncio.Lock()
        self._wake = asyncio.Event()
        self._stopped = asyncio.Event()

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
        """Attempt notifications as they become due, until stopped. An unusable database only causes a
        delay."""
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            self._wake.clear()
            try:
                await self._take_step()
            except StorageError as failure:
                logger.warning("%s; trying again in %g s", failure, pause.total_seconds())
            except Exception:
                # The supervised edge: the loop survives any error.
                logger.exception("a sweep failed; trying again in %g s", pause.total_seconds())
            else:
                pause = FIRST_PAUSE
                continue
            await self._wait(self._stopped, pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def try_once(self, notification: Notification) -> Answer:
        """Attempt a notification that is not in the queue, once."""
        return await self._delivery.try_once(notification)

    async def sweep(self, limit: int = SWEEP_LIMIT, at_most: timedelta = SWEEP_TIMEOUT) -> SweepReport:
        """Attempt what is due now, at most `limit` notifications, and report the outcomes.

        Attempts in flight when it begins are counted too. Attempts that have not ended after
        `at_most` go on and are reported as still in flight. The sweeps of a process don't overlap.

        Raises:
            StorageError: what is due can't be claimed; nothing was sent.
        """
        outcomes: Counter[AttemptOutcome] = Counter()
        started = 0
        with anyio.move_on_after(at_most.total_seconds()):
            async with self._sweeping:
                with self._attempts.watched() as progress:
                    outcomes = progress.outcomes
                    poll_suspects = True
                    while True:
                        progress.changed.clear()
                        claimed = await self._poll(limit - started)
                        if poll_suspects or not (claimed or self._attempts.in_flight):
                            poll_suspects = False
                            claimed += await self._poll_suspects(limit - started - claimed)
                        started += claimed
                        if self._attempts.in_flight:
                            await progress.changed.wait()
                        elif not claimed and not progress.changed.is_set():
                            # An attempt that ended after the poll began may have held the slot that another
                            # needed.
                            break
        return SweepReport(
            sent=outcomes[AttemptOutcome.SENT],
            failed=outcomes[AttemptOutcome.FAILED],
            dead=outcomes[AttemptOutcome.DEAD],
            still_under_way=self._attempts.in_flight,
        )

    def stop(self) -> None:
        """Claim nothing more, and release claims without an attempt."""
        self._stopped.set()
        self._attempts.stop()
        self._wake.set()

    async def wait_for_completion(self, grace: timedelta | None = None) -> bool:
        """Wait for the attempts in flight, at most `grace`, if given; true if all have ended."""
        limit = None if grace is None else grace.total_seconds()
        with anyio.move_on_after(limit) as waiting, self._attempts.watched() as progress:
            # Notifications that are just being claimed count as in flight only once the claim returns.
            async with self._claiming:
                pass
            while self._attempts.in_flight:
                progress.changed.clear()
                await progress.changed.wait()
        return not waiting.cancelled_caught

    async def _take_step(self) -> None:
        can_claim = self._may_claim() and self._slots.claimable(SWEEP_LIMIT)[0] > 0
        match self._scheduler.next_step(self._clock(), can_claim=can_claim):
            case Poll(pause):
                await asyncio.sleep(pause.total_seconds())
                await self._poll(SWEEP_LIMIT)
            case PollSuspects():
                await self._poll_suspects(SWEEP_LIMIT)
            case QueryNextDue():
                after = self._polled_at or self._clock()
                due_at = await self._queue.next_due_at(after=after, channels=self._channels)
                self._scheduler.next_due_found(due_at)
            case Wait(longest):
                await self._wait(self._wake, longest)
                if not self._wake.is_set():
                    self._scheduler.wait_passed(self._clock())

    async def _poll(self, limit: int) -> int:
        async with self._claiming:
            if not self._attempts.in_flight:
                self._slots.forget_pace()
            slots, room = self._slots.claimable(limit)
            if slots <= 0 or not self._may_claim():
                return 0
            self._scheduler.poll_began()
            try:
                with self._slots.claiming():
                    found = await self._claim(slots, room, suspects=False)
            except BaseException:
                self._scheduler.poll_failed()
                raise
            finally:
                # After the poll of a sweep the loop may be waiting for longer than it should.
                self._wake.set()
            claims = found.claims
            left = room.without(Counter(claim.notification.channel for claim in claims)).named.values()
            self._scheduler.poll_ended(
                self._clock(),
                found=len(claims),
                more_may_be_due=len(claims) >= slots or min(left, default=1) <= 0 or found.more_when_ended,
                opens_at=found.opens_at,
            )
            return len(claims)

    async def _poll_suspects(self, limit: int) -> int:
        """Claim notifications that may crash the process; each is attempted in its own process."""
        async with self._claiming:
            slots, room = self._slots.claimable_suspects()
            slots = min(limit, slots)
            self._scheduler.suspects_poll_began()
            claims: tuple[Claim, ...] = ()
            if slots > 0 and self._may_claim():
                try:
                    claims = (await self._claim(slots, room, suspects=True)).claims
                except BaseException:
                    self._scheduler.suspects_poll_failed()
                    raise
            self._scheduler.suspects_poll_ended(self._clock())
            return len(claims)

    def _may_claim(self) -> bool:
        return not self._stopped.is_set() and self._delivery.can_record

    async def _claim(self, slots: int, room: Room, *, suspects: bool) -> Claims:
        lease = self._lease + START_UP if suspects else self._lease
        # Cancelling it halfway would leave leases unknown to this process.
        with anyio.CancelScope(shield=True):
            found = await self._queue.claim(
                ClaimRequest(
                    self._worker,
                    lease,
                    slots,
                    room,
                    self._channels,
                    suspects,
                    self._attempts.held,
                    rules=self._rules,
                )
            )
        if not suspects:
            self._polled_at = found.as_of
        self._attempts.add(found.claims, self._tasks)
        return found

    def _slot_freed(self) -> None:
        self._wake_if(self._scheduler.slot_freed(self._clock()))

    def _attempt_ended(self, end: AttemptEnd) -> None:
        if end.suspect:
            self._wake_if(self._scheduler.suspect_ended())
        if end.begun:
            self._wake_if(
                self._scheduler.attempt_ended(
                    self._clock(), will_be_due=end.will_be_due, none_in_flight=not self._attempts.in_flight
                )
            )
        else:
            # A released notification is due again.
            self._wake_if(self._scheduler.queue_changed())

    def _wake_if(self, needed: bool) -> None:
        if needed:
            self._wake.set()

    async def _notice_changes(self) -> None:
        version = self._due.version
        while True:
            version = await self._due.wait_beyond(version)
            self._wake_if(self._scheduler.queue_changed())
