"""Deliveries over a real queue, through notifiers that do as a test says, in time that a test lets pass."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import anyio

from certctl_mcp.delivery.attempt import Delivery
from certctl_mcp.delivery.retry_loop import RetryLoop
from certctl_mcp.notifiers.base import Notifier
from storage.database import Database
from storage.models import Notification, Room
from storage.repository import NotificationRepository
from tests.builders import LEASE, RETRY_POLICY, SettableClock

SEND_TIMEOUT = timedelta(seconds=30)

INTERVAL = timedelta(hours=1)
"""So long that a test which has to wait for it fails."""

PATIENCE = timedelta(seconds=20)
"""How long a test waits for what should happen at once."""


class _Fake:
    """Remembers what it was given to send."""

    def __init__(self) -> None:
        self.received: list[Notification] = []
        self._more = asyncio.Condition()

    @property
    def messages(self) -> list[str]:
        return [notification.message for notification in self.received]

    async def receives(self, number: int = 1) -> None:
        """Return once so many sends have begun."""
        async with asyncio.timeout(PATIENCE.total_seconds()), self._more:
            await self._more.wait_for(lambda: len(self.received) >= number)

    async def send(self, notification: Notification) -> None:
        self.received.append(notification)
        async with self._more:
            self._more.notify_all()

    async def aclose(self) -> None:
        """Nothing was opened."""


class Delivering(_Fake):
    """Delivers."""


class Failing(_Fake):
    """Fails with each error in its turn, then goes on as with the last; remembers when it was asked."""

    def __init__(self, clock: SettableClock, *errors: BaseException) -> None:
        super().__init__()
        self.moments: list[datetime] = []
        self._clock = clock
        self._errors = list(errors)

    async def send(self, notification: Notification) -> None:
        await super().send(notification)
        self.moments.append(self._clock())
        raise self._errors.pop(0) if len(self._errors) > 1 else self._errors[0]


class Hanging(_Fake):
    """Answers nobody until it is released; remembers how many it had at once, in each channel and in all."""

    def __init__(self) -> None:
        super().__init__()
        self.most: Counter[str] = Counter()
        self.most_in_all = 0
        self._now: Counter[str] = Counter()
        self._released = asyncio.Event()

    async def send(self, notification: Notification) -> None:
        self._now[notification.channel] += 1
        self.most |= self._now
        self.most_in_all = max(self.most_in_all, self._now.total())
        try:
            await super().send(notification)
            await self._released.wait()
        finally:
            self._now[notification.channel] -= 1

    def release(self) -> None:
        self._released.set()


class Acting(_Fake):
    """Delivers by doing what the test says."""

    def __init__(self, act: Callable[[Notification], Awaitable[object]]) -> None:
        super().__init__()
        self._act = act

    async def send(self, notification: Notification) -> None:
        await super().send(notification)
        await self._act(notification)


def delivery(database: Database, notifiers: Mapping[str, Notifier], **overrides: Any) -> Delivery:
    async def find(channel: str) -> Notifier | None:
        return notifiers.get(channel)

    settings: dict[str, Any] = {
        "queue": NotificationRepository(database),
        "find_notifier": find,
        "policy": RETRY_POLICY,
        "send_timeout": SEND_TIMEOUT,
        "clock": database.clock,
    }
    return Delivery(**settings | overrides)


def retry_loop(
    database: Database,
    notifiers: Mapping[str, Notifier],
    *,
    channel_limit: int = 10,
    **overrides: Any,
) -> RetryLoop:
    """`overrides` are those of the delivery and of the loop."""
    parts = {name: overrides.pop(name) for name in _OF_DELIVERY & overrides.keys()}
    settings: dict[str, Any] = {
        "queue": NotificationRepository(database),
        "due": database.changes.due,
        "delivery": delivery(database, notifiers, **parts),
        "worker": "worker-1",
        "lease": LEASE,
        "interval": INTERVAL,
        "concurrency": 50,
        "room": Room(channel_limit),
        "channels": tuple(notifiers),
        "grace": PATIENCE,
        "clock": database.clock,
    }
    return RetryLoop(**settings | overrides)


_OF_DELIVERY = {
    "policy",
    "send_timeout",
    "longer_timeouts",
    "chance",
    "sleep",
    "find_notifier",
    "send_isolated",
    "tracing",
}


@asynccontextmanager
async def running(loop: RetryLoop) -> AsyncIterator[RetryLoop]:
    """The loop at work; it has drained when the context is left."""
    async with loop, anyio.create_task_group() as tasks:
        tasks.start_soon(loop.run)
        try:
            yield loop
        finally:
            loop.stop()


class PassingTime:
    """Lets a loop's waits pass at once, as soon as no attempt is under way, and stops it at the end."""

    def __init__(self, clock: SettableClock, lasts: timedelta) -> None:
        self.waits: list[timedelta] = []
        self._clock = clock
        self._end = clock.now + lasts

    async def pass_for(self, loop: RetryLoop) -> None:
        """Run the loop, which was made with `wait`, until the time is over."""
        self._loop = loop
        async with loop:
            await loop.run()

    async def wait(self, wake: asyncio.Event, longest: timedelta) -> None:
        await self._loop.wait_for_completion(PATIENCE)
        if not wake.is_set():
            self.waits.append(longest)
            self._clock.advance(longest)
            if self._clock.now >= self._end:
                self._loop.stop()
