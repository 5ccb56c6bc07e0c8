"""certctl-mcp in the simulation: the real repository, attempts and retry policy. Only the loop is
the test's, because the real one can't sleep in simulated time."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from itertools import count

from certctl_mcp.delivery.attempt import Delivery
from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier
from storage.models import AttemptOutcome, Claim, Notification, Room
from storage.operations.claim_request import ClaimRequest
from storage.repository import NotificationRepository
from tests.builders import LEASE, RETRY_POLICY
from tests.certctl.receiver import Receiver, RefusedError
from tests.certctl.simulation import Simulation

NAME = "certctl-mcp"
SEND_TIMEOUT = timedelta(seconds=30)


class _Channel:
    """Sends to a receiver."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def send(self, notification: Notification) -> None:
        try:
            await self._receiver.take(NAME, notification.message)
        except RefusedError:
            raise DeliveryFailedError("HTTP 503") from None

    async def aclose(self) -> None:
        """Nothing to close."""


class Rescuer:
    """A process that can be killed at any moment, and started again."""

    def __init__(
        self,
        simulation: Simulation,
        repository: NotificationRepository,
        receivers: Mapping[str, Receiver],
        *,
        longest_sleep: timedelta = timedelta(minutes=2),
    ) -> None:
        channels = {name: _Channel(receiver) for name, receiver in receivers.items()}

        async def find(channel: str) -> Notifier | None:
            return channels.get(channel)

        self._longest_sleep = longest_sleep
        self._simulation = simulation
        self._repository = repository
        self._receivers = receivers
        self._delivery = Delivery(
            repository, find, RETRY_POLICY, send_timeout=SEND_TIMEOUT, clock=simulation.clock
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._numbers = count(1)

    def start(self) -> None:
        self._tasks = [self._simulation.start(self._loop(f"worker-{next(self._numbers)}"))]

    def kill(self) -> None:
        """Its leases stay until they expire."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    async def _loop(self, worker: str) -> None:
        channels = frozenset(self._receivers)
        while True:
            claims: list[Claim] = []
            for suspects in (False, True):
                request = ClaimRequest(worker, LEASE, 10, Room(10), channels, suspects)
                found = await self._repository.claim(request)
                claims += found.claims
            self._tasks += [self._simulation.start(self._attempt(claim)) for claim in claims]
            due = await self._repository.next_due_at(after=found.as_of, channels=channels)
            until = self._simulation.clock.now + self._longest_sleep
            pause = min(until, due or until) - self._simulation.clock.now
            await self._simulation.sleep(1 if claims else max(1, pause.total_seconds()))

    async def _attempt(self, claim: Claim) -> None:
        outcome = await self._delivery.record(claim, await self._delivery.attempt(claim))
        if outcome is AttemptOutcome.SENT:
            self._receivers[claim.notification.channel].recorded(NAME, claim.notification.message)
