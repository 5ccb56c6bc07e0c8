"""The night before the question: alerts created through the real repository."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from storage.models import Claim, Notification
from tests.builders import TOOK, Queue, SettableClock, new_notification
from tests.in_process_server import FakeNotifier

CHANNELS = ("PagerDuty", "Slack", "Email", "Webhook", "Teams")

MORNING = 12
"""The hour of the night at which the question is asked."""

DELAY = timedelta(seconds=2)
"""The default time from accept to delivery."""


@dataclass
class Night:
    """Times are hours after it began."""

    queue: Queue
    clock: SettableClock
    chance: Random
    destinations: Mapping[str, FakeNotifier]
    """How the channels respond after the night."""

    def __post_init__(self) -> None:
        self.began = self.clock.now

    def hour(self, hours: float) -> datetime:
        """Advance to that hour; the clock never goes back."""
        moment = self.began + timedelta(hours=hours)
        assert moment >= self.clock.now, "the clock never goes back"
        self.clock.now = moment
        return moment

    async def accepted(self, number: int = 1, **contents: Any) -> list[Notification]:
        accepted = await asyncio.gather(
            *(self.queue.repository.accept(new_notification(**contents)) for _ in range(number))
        )
        return [a.notification for a in accepted]

    async def delivered(
        self, number: int = 1, *, after: timedelta = DELAY, **contents: Any
    ) -> list[Notification]:
        repository = self.queue.repository
        return await self._attempted(
            number, contents, lambda claim: repository.record_sent(claim, after), pause=after
        )

    async def failing(
        self, number: int, error: str, *, wait: timedelta = timedelta(minutes=1), **contents: Any
    ) -> list[Notification]:
        """Failed once; the next attempt is due after `wait`."""
        repository = self.queue.repository
        return await self._attempted(
            number, contents, lambda claim: repository.record_failed_attempt(claim, TOOK, error, wait)
        )

    async def dead(self, number: int, error: str, **contents: Any) -> list[Notification]:
        """Refused permanently at the first attempt."""
        repository = self.queue.repository
        return await self._attempted(
            number, contents, lambda claim: repository.mark_as_dead(claim, TOOK, error)
        )

    async def worn_out(self, number: int, error: str, **contents: Any) -> list[Notification]:
        """Dead after five attempts over fifteen minutes."""
        repository = self.queue.repository
        made = await self.accepted(number, **contents)
        for minutes in (1, 2, 4, 8):
            wait = timedelta(minutes=minutes)
            fail = partial(repository.record_failed_attempt, duration=TOOK, error=error, wait=wait)
            await self._claimed(made, fail)
            self.clock.advance(wait)
        await self._claimed(made, lambda claim: repository.mark_as_dead(claim, TOOK, error))
        return made

    async def skipped(self, number: int, reason: str, **contents: Any) -> list[Notification]:
        """Skipped, because the channel had no notifier."""
        repository = self.queue.repository
        return await self._attempted(number, contents, lambda claim: repository.record_skipped(claim, reason))

    async def settled(self, number: int = 1, **contents: Any) -> list[Notification]:
        made = await self.accepted(number, **contents)
        return await asyncio.gather(*(self.queue.repository.mark_read(n.id) for n in made))

    async def _attempted(
        self,
        number: int,
        contents: dict[str, Any],
        record: Callable[[Claim], Awaitable[bool]],
        pause: timedelta = timedelta(0),
    ) -> list[Notification]:
        made = await self.accepted(number, **contents)
        await self._claimed(made, record, pause)
        return made

    async def _claimed(
        self,
        wanted: Sequence[Notification],
        record: Callable[[Claim], Awaitable[bool]],
        pause: timedelta = timedelta(0),
    ) -> None:
        ids = {notification.id for notification in wanted}
        claims = await self.queue.claim_due()
        self.clock.advance(pause)
        await asyncio.gather(
            *(
                record(claim) if claim.notification.id in ids else self.queue.repository.release(claim)
                for claim in claims
            )
        )
