"""Behind a pooler no notifications arrive, so a change is assumed once a second."""

import asyncio
from datetime import timedelta

from storage.engine.changes import Changes

POLL_INTERVAL = timedelta(seconds=1)


class AssumedChanges(Changes):
    """A pooler that moves every transaction to another connection does not support LISTEN."""

    async def watch(self) -> None:
        while not self._closed.is_set():
            try:
                await asyncio.wait_for(self._closed.wait(), POLL_INTERVAL.total_seconds())
            except TimeoutError:
                self.announce()

    def committed(self) -> None:
        super(Changes, self).announce()
