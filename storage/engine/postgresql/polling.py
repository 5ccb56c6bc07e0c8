"""How is a change noticed where no message comes through? By taking it that there may have been one."""

import asyncio
from datetime import timedelta

from storage.engine.changes import Changes

EVERY = timedelta(seconds=1)


class Polling(Changes):
    """Behind a pooler that gives every transaction another connection nobody can listen."""

    async def watch(self) -> None:
        while not self._closed.is_set():
            try:
                await asyncio.wait_for(self._closed.wait(), EVERY.total_seconds())
            except TimeoutError:
                self.announce()

    def committed(self) -> None:
        super(Changes, self).announce()
