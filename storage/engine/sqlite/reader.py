"""How is SQLite read without waiting for the disk? On a connection with a thread of its own."""

import asyncio
import sqlite3
from functools import partial

import aiosqlite

_ROWS_AT_ONCE = 64


class Reader(aiosqlite.Connection):
    """It is told to stop once.

    SQLAlchemy closes a connection whose statement was cancelled in two ways at once. Told to stop a second
    time, after its thread has ended, it would wait for ever for word from it.
    """

    _told = False

    def stop(self) -> asyncio.Future[None] | None:
        if self._told:
            return None
        self._told = True
        return super().stop()


def reader(location: str, **options: float | None) -> Reader:
    """One that is not connected yet; `options` are those of `sqlite3.connect`."""
    made = Reader(partial(sqlite3.connect, location, **options), _ROWS_AT_ONCE)
    # Whatever a statement does, it does not hold up the end of the process.
    made._thread.daemon = True
    return made
