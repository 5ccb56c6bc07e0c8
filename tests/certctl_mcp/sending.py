"""Deliveries over a real queue, through notifiers that do as a test says, in time that a test lets pass."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import anyio

from certctl_mcp.delivery.attempt import Delivery
from certctl_mcp.delivery.retry_loop import RetryLoop, Waiter
from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier
from certctl_mcp.notifiers.failure_kinds import FailureKind
from storage.channel_state import ChannelRules, ChannelState, Rate, allowance, began
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
    if "rules" in overrides:
        parts["rules"] = overrides["rules"]
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


class Limited(_Fake):
    """Delivers as many as a token bucket allows, and asks everything else to come again a second later."""

    def __init__(self, clock: SettableClock, rate: Rate) -> None:
        super().__init__()
        self.delivered: list[tuple[datetime, str]] = []
        self.refused = 0
        self._clock = clock
        self._rules = ChannelRules(rate)
        self._state = ChannelState()

    async def send(self, notification: Notification) -> None:
        await super().send(notification)
        now = self._clock()
        if not allowance(self._state, self._rules, now, 1).count:
            self.refused += 1
            raise DeliveryFailedError(
                "HTTP 429",
                told_to_wait=True,
                retry_after=timedelta(seconds=1),
                kind=FailureKind.RATE_LIMITED,
            )
        self._state = began(self._state, self._rules, now, 1)
        self.delivered.append((now, notification.message))


class SharedTime:
    """Lets the waits of several loops pass at once, as soon as none of them has anything to do."""

    def __init__(
        self, clock: SettableClock, loops: int, enough: Callable[[], bool], lasts: timedelta
    ) -> None:
        """`enough` ends it; so does the end of the time."""
        self._clock = clock
        self._number = loops
        self._enough = enough
        self._end = clock.now + lasts
        self._idle: dict[int, tuple[asyncio.Event, datetime]] = {}
        self._loops: list[RetryLoop] = []
        self._tick = asyncio.Event()

    async def pass_for(self, make: Callable[[int, Waiter], RetryLoop]) -> None:
        async with AsyncExitStack() as stack:
            for number in range(self._number):
                loop = make(number, partial(self._wait, number))
                self._loops.append(await stack.enter_async_context(loop))
            async with anyio.create_task_group() as tasks:
                for loop in self._loops:
                    tasks.start_soon(loop.run)

    async def _wait(self, number: int, wake: asyncio.Event, longest: timedelta) -> None:
        await self._loops[number].wait_for_completion(PATIENCE)
        deadline = self._clock.now + longest
        while not wake.is_set() and self._clock.now < deadline:
            self._idle[number] = (wake, deadline)
            if self._all_idle():
                # What another one committed is noticed meanwhile.
                await asyncio.sleep(0.001)
                if self._all_idle():
                    self._advance()
            else:
                tick = asyncio.ensure_future(self._tick.wait())
                woken = asyncio.ensure_future(wake.wait())
                await asyncio.wait((tick, woken), return_when=asyncio.FIRST_COMPLETED)
                tick.cancel()
                woken.cancel()
        self._idle.pop(number, None)

    def _all_idle(self) -> bool:
        return len(self._idle) == self._number and not any(wake.is_set() for wake, _ in self._idle.values())

    def _advance(self) -> None:
        self._clock.now = min(deadline for _, deadline in self._idle.values())
        if self._enough() or self._clock.now >= self._end:
            for loop in self._loops:
                loop.stop()
        self._tick.set()
        self._tick = asyncio.Event()


class Relay(_Fake):
    """Takes mail over a few sessions at once, and refuses every other session for the moment."""

    def __init__(self, sessions: int) -> None:
        super().__init__()
        self.delivered: list[str] = []
        self.refused = 0
        self._sessions = sessions
        self._open = 0

    async def send(self, notification: Notification) -> None:
        await super().send(notification)
        if self._open >= self._sessions:
            self.refused += 1
            raise DeliveryFailedError("432 4.3.2", told_to_wait=True, kind=FailureKind.RATE_LIMITED)
        self._open += 1
        await asyncio.sleep(0.001)
        self._open -= 1
        self.delivered.append(notification.message)


class Down(_Fake):
    """Fails as a channel in an outage does, until it is over; remembers when it was asked."""

    def __init__(self, clock: SettableClock, until: datetime) -> None:
        super().__init__()
        self.failed: list[datetime] = []
        self.delivered: list[tuple[datetime, str]] = []
        self._clock = clock
        self._until = until

    async def send(self, notification: Notification) -> None:
        await super().send(notification)
        if self._clock.now < self._until:
            self.failed.append(self._clock.now)
            raise DeliveryFailedError("HTTP 503", kind=FailureKind.OUTAGE)
        self.delivered.append((self._clock.now, notification.message))
