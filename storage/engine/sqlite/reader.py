"""SQLite connections for reading, each with its own thread, so that no read blocks the event loop."""

import asyncio
import sqlite3
from functools import partial

import aiosqlite

_ROWS_AT_ONCE = 64


class Reader(aiosqlite.Connection):
    """Stops at most once.

    SQLAlchemy closes a connection whose statement was cancelled in two ways at once. The second `stop`,
    after the thread has ended, would wait forever.
    """

    _stopped = False

    def stop(self) -> asyncio.Future[None] | None:
        if self._stopped:
            return None
        self._stopped = True
        return super().stop()


def reader(location: str, **options: float | None) -> Reader:
    """A connection that is not open yet; `options` are those of `sqlite3.connect`."""
    made = Reader(partial(sqlite3.connect, location, **options), _ROWS_AT_ONCE)
    # A running statement must not keep the process from exiting.
    made._thread.daemon = True
    return made
