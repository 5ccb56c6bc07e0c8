"""Builders of deliveries and retry loops over a real queue, with a test's notifiers."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio

from certctl_mcp.delivery.attempt import Delivery
from certctl_mcp.delivery.retry_loop import RetryLoop
from certctl_mcp.notifiers.base import Notifier
from storage.database import Database
from storage.models import Room
from storage.repository import NotificationRepository
from tests.builders import LEASE, RETRY_POLICY
from tests.certctl_mcp.fake_notifiers import PATIENCE

SEND_TIMEOUT = timedelta(seconds=30)

INTERVAL = timedelta(hours=1)
"""So long that a test which has to wait for it fails."""


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
