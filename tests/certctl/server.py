"""A fake of certctl's server, limited to notifications, written from its observed behaviour.

It sends an alert in the call that creates it. One loop sends `pending` alerts, at most 50 rows at a time and
for at most a minute; another sends `failed` alerts that have a time for the next attempt. Rows are updated by
id, even if they have changed since they were read. A first failure sets no time for the next attempt, and the
zero time of Go as its delivery time. An alert for a channel without a notifier is marked as sent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import asyncpg

from tests.certctl.receiver import Receiver, RefusedError
from tests.certctl.simulation import Simulation

NAME = "certctl"
ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)
BATCH = 50
BATCH_TIME = timedelta(minutes=1)
MAX_ATTEMPTS = 5

_CREATE = """
INSERT INTO notification_events (id, type, channel, recipient, message, status, created_at)
VALUES ($1, 'ExpirationWarning', $2, 'ops', $3, 'pending', $4)
"""
_ALERTED = "SELECT count(*) FROM notification_events WHERE channel = $1 AND message LIKE $2"
_UPDATE = "UPDATE notification_events SET status = $2, sent_at = $3 WHERE id = $1"
_PENDING = f"""
SELECT id, channel, message, retry_count FROM notification_events WHERE status = 'pending'
ORDER BY sent_at DESC NULLS LAST LIMIT {BATCH}
"""
_TO_RETRY = f"""
SELECT id, channel, message, retry_count FROM notification_events
WHERE status = 'failed' AND next_retry_at IS NOT NULL AND next_retry_at <= $1 AND retry_count < {MAX_ATTEMPTS}
ORDER BY next_retry_at LIMIT 1000
"""
_RETRY_FAILED = """
UPDATE notification_events SET retry_count = retry_count + 1, next_retry_at = $2, last_error = 'refused'
WHERE id = $1
"""
_DEAD = """
UPDATE notification_events SET status = 'dead', next_retry_at = NULL, last_error = 'refused' WHERE id = $1
"""


class Certctl:
    """A server that can be killed at any moment, and started again."""

    def __init__(
        self,
        simulation: Simulation,
        connection: asyncpg.Connection,
        receivers: Mapping[str, Receiver],
        *,
        pending_every: timedelta = timedelta(minutes=1),
        retry_every: timedelta = timedelta(minutes=2),
        name: str = "notif",
    ) -> None:
        """`receivers`: those of the channels with a notifier. `name`: the prefix of its ids."""
        self._simulation = simulation
        self._connection = connection
        self._receivers = receivers
        self._pending_every = pending_every
        self._retry_every = retry_every
        self._tasks: list[asyncio.Task[None]] = []
        self._ids = (f"{name}-{number:06}" for number in count(1))

    def start(self) -> None:
        self._tasks = [
            self._simulation.start(self._loop(self._pending_every, self._send_pending)),
            self._simulation.start(self._loop(self._retry_every, self._retry_failed)),
        ]

    def kill(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    def alert(self, channel: str, subject: str, threshold: int) -> None:
        """Send an alert unless there is one already, judging by the threshold in the existing messages."""
        self._tasks.append(self._simulation.start(self._alert(channel, subject, threshold)))

    async def _alert(self, channel: str, subject: str, threshold: int) -> None:
        message = f"{subject} expires [threshold:{threshold}]"
        if await self._connection.fetchval(_ALERTED, channel, f"{subject} %[threshold:{threshold}]%"):
            return
        notification_id = next(self._ids)
        await self._connection.execute(_CREATE, notification_id, channel, message, self._simulation.clock.now)
        await self._send({"id": notification_id, "channel": channel, "message": message})

    async def _loop(self, every: timedelta, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            began = self._simulation.clock.now
            await step()
            passed = self._simulation.clock.now - began
            await self._simulation.sleep(max(every - passed, timedelta(0)).total_seconds())

    async def _send_pending(self) -> None:
        until = self._simulation.clock.now + BATCH_TIME
        for row in await self._connection.fetch(_PENDING):
            if self._simulation.clock.now >= until:
                return
            await self._send(row, until)

    async def _send(self, row: Mapping[str, Any], until: datetime | None = None) -> None:
        receiver = self._receivers.get(row["channel"])
        if receiver is None:
            await self._connection.execute(_UPDATE, row["id"], "sent", self._simulation.clock.now)
            return
        try:
            await receiver.take(NAME, row["message"])
        except RefusedError:
            if until is None or self._simulation.clock.now < until:
                await self._connection.execute(_UPDATE, row["id"], "failed", ZERO_TIME)
                receiver.recorded_as_failed(row["message"])
        else:
            # Once the time limit of the batch has passed, its statements fail too.
            if until is None or self._simulation.clock.now < until:
                await self._connection.execute(_UPDATE, row["id"], "sent", self._simulation.clock.now)
                receiver.recorded(NAME, row["message"])

    async def _retry_failed(self) -> None:
        for row in await self._connection.fetch(_TO_RETRY, self._simulation.clock.now):
            receiver = self._receivers[row["channel"]]
            try:
                await receiver.take(NAME, row["message"])
            except RefusedError:
                if row["retry_count"] >= MAX_ATTEMPTS - 1:
                    await self._connection.execute(_DEAD, row["id"])
                else:
                    wait = timedelta(minutes=2 ** row["retry_count"])
                    await self._connection.execute(
                        _RETRY_FAILED, row["id"], self._simulation.clock.now + wait
                    )
            else:
                await self._connection.execute(_UPDATE, row["id"], "sent", self._simulation.clock.now)
                receiver.recorded(NAME, row["message"])
