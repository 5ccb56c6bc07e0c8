"""Signals for tasks that wait for a change, whether by this process or by another one."""

import asyncio
from abc import ABC, abstractmethod


class Signal:
    """A counter that increases whenever its event may have happened."""

    def __init__(self) -> None:
        self._version = 0
        self._next = asyncio.Event()

    @property
    def version(self) -> int:
        """Get it before reading, so that `wait_beyond` misses no later event."""
        return self._version

    async def wait_beyond(self, version: int) -> int:
        """Wait until the version is later than `version`, and return it."""
        while self._version <= version:
            await self._next.wait()
        return self._version

    def announce(self) -> None:
        """Report that the event may have happened in this process."""
        self._version += 1
        self._next.set()
        self._next = asyncio.Event()


class Changes(Signal, ABC):
    """Announces that anything may have changed. `watch` must be running to notice other processes."""

    def __init__(self) -> None:
        super().__init__()
        self.due = Signal()
        """Announces that something may have become due."""
        self._closed = asyncio.Event()

    def announce(self) -> None:
        """Report that anything may have changed, and something may have become due."""
        self.due.announce()
        super().announce()

    def committed(self) -> None:
        """Report a commit of this process that made nothing due."""

    def close(self) -> None:
        """Let `watch` return."""
        self._closed.set()

    @abstractmethod
    async def watch(self) -> None:
        """Announce the commits of other processes until closed."""

    async def data_version(self) -> int | None:
        """A number that differs after every commit of any process; None if the database has none."""
        return None
