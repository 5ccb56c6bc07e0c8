"""Fake notifiers: each records what it is asked to send, then succeeds, fails or hangs as a test needs."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from certctl_mcp.notifiers.base import DeliveryFailedError
from certctl_mcp.notifiers.failure_kinds import FailureKind
from storage.channel_state import ChannelRules, ChannelState, Rate, allowance, began
from storage.models import Notification
from tests.builders import SettableClock

PATIENCE = timedelta(seconds=20)
"""How long a test waits for something that should happen at once."""


class _RecordingNotifier:
    """Records the notifications that it is to send."""

    def __init__(self) -> None:
        self.received: list[Notification] = []
        self._more = asyncio.Condition()

    @property
    def messages(self) -> list[str]:
        return [notification.message for notification in self.received]

    async def receives(self, number: int = 1) -> None:
        """Wait until this many sends have begun."""
        async with asyncio.timeout(PATIENCE.total_seconds()), self._more:
            await self._more.wait_for(lambda: len(self.received) >= number)

    async def send(self, notification: Notification) -> None:
        self.received.append(notification)
        async with self._more:
            self._more.notify_all()

    async def aclose(self) -> None:
        """Nothing was opened."""


class WorkingNotifier(_RecordingNotifier):
    """Delivers."""


class FailingNotifier(_RecordingNotifier):
    """Fails with each error in turn, then always with the last; records when each send began."""

    def __init__(self, clock: SettableClock, *errors: BaseException) -> None:
        super().__init__()
        self.moments: list[datetime] = []
        self._clock = clock
        self._errors = list(errors)

    async def send(self, notification: Notification) -> None:
        await super().send(notification)
        self.moments.append(self._clock())
        raise self._errors.pop(0) if len(self._errors) > 1 else self._errors[0]


class HangingNotifier(_RecordingNotifier):
    """Hangs until it is released; records the most sends in flight at once, in each channel and in total."""

    def __init__(self) -> None:
        super().__init__()
        self.most: Counter[str] = Counter()
        self.most_in_total = 0
        self._now: Counter[str] = Counter()
        self._released = asyncio.Event()

    async def send(self, notification: Notification) -> None:
        self._now[notification.channel] += 1
        self.most |= self._now
        self.most_in_total = max(self.most_in_total, self._now.total())
        try:
            await super().send(notification)
            await self._released.wait()
        finally:
            self._now[notification.channel] -= 1

    def release(self) -> None:
        self._released.set()


class CallbackNotifier(_RecordingNotifier):
    """Delivers by calling a function of the test."""

    def __init__(self, act: Callable[[Notification], Awaitable[object]]) -> None:
        super().__init__()
        self._act = act

    async def send(self, notification: Notification) -> None:
        await super().send(notification)
        await self._act(notification)


class RateLimitedNotifier(_RecordingNotifier):
    """Delivers as many as a token bucket allows, and answers the rest with `Retry-After` of a second."""

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


class SessionLimitedNotifier(_RecordingNotifier):
    """Behaves like a mail relay that accepts few sessions at once, and refuses others temporarily."""

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


class OutageNotifier(_RecordingNotifier):
    """Fails until the outage is over; records when each send failed or succeeded."""

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
