"""Has anything changed? A signal for those who wait, also for what another process committed."""

import asyncio
from abc import ABC, abstractmethod


class Signal:
    """Counts up whenever what it stands for may have happened."""

    def __init__(self) -> None:
        self._version = 0
        self._next = asyncio.Event()

    @property
    def version(self) -> int:
        """Take it before reading; `wait_beyond` it then misses nothing that came after."""
        return self._version

    async def wait_beyond(self, version: int) -> int:
        """Return the present version as soon as it is later than `version`."""
        while self._version <= version:
            await self._next.wait()
        return self._version

    def announce(self) -> None:
        """It may have happened in this process: no need to wait for word of it."""
        self._version += 1
        self._next.set()
        self._next = asyncio.Event()


class Changes(Signal, ABC):
    """Anything may have changed. `watch` must be running to notice other processes."""

    def __init__(self) -> None:
        super().__init__()
        self.due = Signal()
        """Something may be due that was not."""
        self.own: int | None = None
        """The number that the database gave the connection on which this process writes."""
        self._closed = asyncio.Event()

    def announce(self) -> None:
        """Anything may have changed, and something may be due."""
        self.due.announce()
        super().announce()

    def committed(self) -> None:
        """This process has changed something after which nothing more is due than before."""

    def close(self) -> None:
        """Let `watch` return."""
        self._closed.set()

    @abstractmethod
    async def watch(self) -> None:
        """Announce what other processes commit, until closed."""

    async def data_version(self) -> int | None:
        """Another one whenever anything was committed, by whomever; None where that can't be told."""
        return None
