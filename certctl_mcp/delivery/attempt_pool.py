"""The attempts in flight in one process: each claim that has a slot is attempted and its outcome recorded."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio
from anyio.abc import TaskGroup

from certctl_mcp.delivery.attempt import Delivery
from certctl_mcp.delivery.metrics import AttemptMeter
from certctl_mcp.delivery.queue import DeliveryQueue
from certctl_mcp.delivery.sender import Answer
from certctl_mcp.delivery.slots import Slots
from certctl_mcp.delivery.suspects import is_suspect
from certctl_mcp.notifiers.failure_kinds import FailureKind
from storage.clock import Clock
from storage.errors import StorageError
from storage.models import AttemptOutcome, Claim
from storage.structs import struct

logger = logging.getLogger(__name__)

OVERRUN = timedelta(milliseconds=500)
"""How much later than its timeout an attempt may end on a busy machine. A lease exceeds the timeout by at
least twice this."""

_TRY_AGAIN = timedelta(seconds=1)
"""The pause before renewing or releasing a lease is retried, while the database can't be written."""


@struct
class AttemptEnd:
    """How a claim ended."""

    begun: bool
    """False if the claim was released, or the result of its attempt is unknown."""
    outcome: AttemptOutcome | None
    """None if it could not be recorded."""
    suspect: bool

    @property
    def will_be_due(self) -> bool:
        return self.outcome in (
            AttemptOutcome.FAILED,
            AttemptOutcome.TOLD_TO_WAIT,
            AttemptOutcome.ABANDONED,
            None,
        )


@dataclass(eq=False, slots=True)
class Progress:
    """The progress of attempts, for which a sweep or a shutdown waits."""

    outcomes: Counter[AttemptOutcome] = field(default_factory=Counter)
    """The outcomes of the attempts that have ended since."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """An attempt has ended."""


class AttemptPool:
    """Runs attempts as tasks of the given group, until it is cancelled."""

    def __init__(
        self,
        queue: DeliveryQueue,
        delivery: Delivery,
        slots: Slots,
        meter: AttemptMeter,
        clock: Clock,
        *,
        slot_freed: Callable[[], None],
        attempt_ended: Callable[[AttemptEnd], None],
        sleep: Callable[[timedelta], Awaitable[None]],
    ) -> None:
        """`slot_freed` is called before the outcome is recorded, `attempt_ended` afterwards."""
        self.in_flight = 0
        """Claims that have not ended, including those that wait for a slot."""
        self._queue = queue
        self._delivery = delivery
        self._slots = slots
        self._meter = meter
        self._clock = clock
        self._slot_freed = slot_freed
        self._attempt_ended = attempt_ended
        self._sleep = sleep
        self._held: dict[tuple[str, int], Claim] = {}
        self._attempting: dict[str, asyncio.Event] = {}
        self._ready: asyncio.Queue[Claim] = asyncio.Queue()
        self._workers = 0
        self._stopped = False
        self._watchers: list[Progress] = []

    @property
    def held(self) -> tuple[Claim, ...]:
        """The claims that have not ended."""
        return tuple(self._held.values())

    def add(self, claims: Sequence[Claim], tasks: TaskGroup) -> None:
        """Attempt each of these as soon as it has a slot."""
        self.in_flight += len(claims)
        for claim in claims:
            self._held[_token(claim)] = claim
            self._slots.hold(claim)
        self._start(self._slots.start_all() if self._stopped else self._slots.start_ready())
        # A worker task is kept for later claims: starting one for each would cost as much as claiming it.
        while self._workers < self.in_flight:
            self._workers += 1
            tasks.start_soon(self._work)

    def stop(self) -> None:
        """Begin no more attempts, and release the claims without one."""
        self._stopped = True
        self._start(self._slots.start_all())

    @contextmanager
    def watched(self) -> Iterator[Progress]:
        progress = Progress()
        self._watchers.append(progress)
        try:
            yield progress
        finally:
            self._watchers.remove(progress)

    def _start(self, claims: Iterable[Claim]) -> None:
        for claim in claims:
            self._ready.put_nowait(claim)

    async def _work(self) -> None:
        while True:
            await self._attempt(await self._ready.get())

    async def _attempt(self, claim: Claim) -> None:
        answer: Answer | None = None
        outcome: AttemptOutcome | None = None
        try:
            try:
                answer = await self._answer(claim)
            finally:
                # The slot is freed before the outcome is written, so that this write and the next claim can
                # share a transaction.
                self._start(self._slots.free(claim))
                self._slot_freed()
            if answer is not None:
                outcome = await self._delivery.record(claim, answer)
                self._count(claim, answer, outcome)
        except anyio.get_cancelled_exc_class():
            await self._delivery.record_cancelled(claim, answer)
            raise
        except Exception:
            # The supervised edge: the lease expires and the notification is attempted again.
            logger.exception("the attempt of %s failed unexpectedly", claim.notification.id)
        finally:
            self.in_flight -= 1
            del self._held[_token(claim)]
            self._attempt_ended(AttemptEnd(answer is not None, outcome, is_suspect(claim)))
            for progress in self._watchers:
                progress.changed.set()

    async def _answer(self, claim: Claim) -> Answer | None:
        """The result of the attempt; None if it never began and the claim was released."""
        notification_id = claim.notification.id
        while (earlier := self._attempting.get(notification_id)) is not None:
            # An earlier attempt whose lease was lost may still be running, and must end before this one
            # begins.
            await earlier.wait()
        self._attempting[notification_id] = ended = asyncio.Event()
        try:
            return await self._attempt_or_release(claim)
        finally:
            del self._attempting[notification_id]
            ended.set()

    async def _attempt_or_release(self, claim: Claim) -> Answer | None:
        await self._delivery.prepare(claim)
        # If the lease could expire during the attempt, another worker could attempt it at the same time.
        latest_end = self._clock() + self._delivery.expected_duration(claim) + OVERRUN
        if self._stopped or latest_end > claim.expires_at:
            await self._release(claim)
            return None
        if not self._delivery.may_take_longer(claim):
            return await self._delivery.attempt(claim)
        renewing = asyncio.create_task(self._keep_leased(claim))
        try:
            return await self._delivery.attempt(claim)
        finally:
            renewing.cancel()

    async def _release(self, claim: Claim) -> None:
        """Release a claim that was not attempted, as soon as the database can be written."""
        while True:
            try:
                await self._queue.release(claim)
            except StorageError as failure:
                logger.warning("the lease of %s can't be released: %s", claim.notification.id, failure)
                await self._sleep(_TRY_AGAIN)
            else:
                return

    async def _keep_leased(self, claim: Claim) -> None:
        """Renew the lease whenever two thirds of it have passed, as long as the claim is valid."""
        lease = claim.expires_at - claim.started_at
        expires_at: datetime | None = claim.expires_at
        while expires_at is not None:
            await self._sleep(expires_at - lease / 3 - self._clock())
            try:
                expires_at = await self._queue.renew(claim, lease)
            except StorageError as failure:
                logger.warning("the lease of %s can't be renewed: %s", claim.notification.id, failure)
                await self._sleep(_TRY_AGAIN)

    def _count(self, claim: Claim, answer: Answer, outcome: AttemptOutcome | None) -> None:
        failure = None if answer.failure is None else answer.failure.kind or FailureKind.UNKNOWN
        self._meter.ended(claim.notification.channel, outcome, answer.duration, failure)
        if outcome is not None:
            for progress in self._watchers:
                progress.outcomes[outcome] += 1


def _token(claim: Claim) -> tuple[str, int]:
    return claim.notification.id, claim.number
