"""A queue for tests of programs that send notifications: nothing leaves the process or outlives the test.

It is the real queue on a temporary database; only the channels are recorders. For the fixture
`certctl_queue`, add `pytest_plugins = ["certctl_mcp.testing"]` to the outermost conftest.py.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import pytest
from anyio.from_thread import start_blocking_portal

from certctl_mcp.config.settings import load_settings
from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier
from certctl_mcp.queue import ACTOR, Queue, SyncQueue
from certctl_mcp.runtime.application import open_application
from storage.models import Notification

CHANNELS = ("Email", "Slack", "Teams", "PagerDuty", "OpsGenie", "Webhook")


class Recorder:
    """A channel that records what is sent over it, or refuses it while `refusal` is set."""

    def __init__(self) -> None:
        self.delivered: list[Notification] = []
        self.refusal: str | None = None
        """The error of every attempt from now on; None to accept again."""

    async def send(self, notification: Notification) -> None:
        if self.refusal is not None:
            raise DeliveryFailedError(self.refusal)
        self.delivered.append(notification)

    async def aclose(self) -> None:
        """There is nothing to close."""


class MemoryQueue(Queue):
    """A queue whose channels are recorders. `drain` delivers what is due to them."""

    channels: Mapping[str, Recorder]

    @property
    def delivered(self) -> tuple[Notification, ...]:
        """Everything delivered, channel by channel."""
        return tuple(each for recorder in self.channels.values() for each in recorder.delivered)

    @classmethod
    @asynccontextmanager
    async def for_tests(cls, channels: Iterable[str] = CHANNELS) -> AsyncIterator[Self]:
        """An empty queue with these channels."""
        recorders = _Recorders({name: Recorder() for name in channels})
        with TemporaryDirectory(prefix="certctl-mcp-test-") as directory:
            settings = load_settings(None, {}, database_url=f"sqlite:///{Path(directory) / 'queue.db'}")
            async with open_application(settings, notifiers=recorders) as application:
                queue = cls(application, ACTOR)
                queue.channels = recorders.channels
                yield queue


class SyncMemoryQueue(SyncQueue):
    """A `MemoryQueue` for code that is not asynchronous."""

    _queue: MemoryQueue

    @property
    def channels(self) -> Mapping[str, Recorder]:
        return self._queue.channels

    @property
    def delivered(self) -> tuple[Notification, ...]:
        """Everything delivered, channel by channel."""
        return self._queue.delivered


class _Recorders:
    """Recorders instead of the configured notifiers."""

    def __init__(self, channels: Mapping[str, Recorder]) -> None:
        self.channels = channels

    @property
    def descriptions(self) -> Mapping[str, str]:
        return dict.fromkeys(self.channels, "recorder of a test")

    async def find(self, channel: str) -> Notifier | None:
        return self.channels.get(channel)


@contextmanager
def memory_queue(channels: Iterable[str] = CHANNELS) -> Iterator[SyncMemoryQueue]:
    """An empty queue with these channels, for tests that are not asynchronous."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(MemoryQueue.for_tests(channels)) as queue,
    ):
        yield SyncMemoryQueue(queue, portal)


@pytest.fixture
def certctl_queue() -> Iterator[SyncMemoryQueue]:
    """An empty queue with certctl's channels."""
    with memory_queue() as queue:
        yield queue
