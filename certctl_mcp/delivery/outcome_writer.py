"""Writes outcomes. Each is kept until it is written, or refused because the claim was lost, however long the
database is locked, restarting, full or read-only.

An outcome is kept even after its lease expires: until another worker takes over the notification, writing the
outcome prevents a second delivery.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

import anyio

from storage.errors import (
    ChangeUnknownError,
    DatabaseBusyError,
    DatabaseReadOnlyError,
    DatabaseUnreachableError,
    DiskFullError,
    StorageError,
)
from storage.models import AttemptOutcome, Claim

logger = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(milliseconds=500)
LONGEST_PAUSE = timedelta(seconds=5)
"""The pause between retries of a write doubles from the first to the longest."""

MAX_UNWRITTEN = 1000
"""With this many unwritten outcomes, nothing more is claimed, whatever the errors."""

_NOT_WRITABLE = (
    ChangeUnknownError,
    DatabaseBusyError,
    DatabaseReadOnlyError,
    DatabaseUnreachableError,
    DiskFullError,
)
"""Errors of the database as a whole. Any other error may concern a single outcome, and must not stop the
rest."""

Write = Callable[[], Awaitable[bool]]
"""Writes one outcome; False if its claim was lost. Safe to repeat."""


class OutcomeWriter:
    """Writes the outcomes of one process."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._unwritten = 0
        self._failing = False

    @property
    def can_write(self) -> bool:
        """False while outcomes wait for a database that can't be written: then nothing may be claimed,
        because its outcome couldn't be recorded."""
        return not (self._failing and self._unwritten) and self._unwritten < MAX_UNWRITTEN

    async def write(self, claim: Claim, outcome: AttemptOutcome, write: Write) -> bool:
        """Write the outcome, retrying until it succeeds; False if its claim was lost."""
        try:
            return await self._try(write)
        except StorageError as error:
            logger.warning("the outcome of %s is kept and recorded later: %s", _named(claim, outcome), error)
        self._unwritten += 1
        try:
            return await self._write_again(write)
        finally:
            self._unwritten -= 1

    async def write_last(
        self, claim: Claim, outcome: AttemptOutcome, write: Write, within: timedelta
    ) -> None:
        """Write the outcome of an attempt when the process exits, or log that it is lost."""
        reason = f"the database did not respond within {within.total_seconds():g} s"
        with anyio.move_on_after(within.total_seconds(), shield=True):
            try:
                await write()
            except StorageError as error:
                reason = str(error)
            else:
                return
        logger.error(
            "the outcome of %s is lost, because the process exits and %s; the notification is attempted "
            "again when its lease expires",
            _named(claim, outcome),
            reason,
        )

    async def _write_again(self, write: Write) -> bool:
        pause = FIRST_PAUSE
        while True:
            await self._sleep(pause.total_seconds())
            try:
                return await self._try(write)
            except StorageError:
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _try(self, write: Write) -> bool:
        try:
            on_time = await write()
        except StorageError as error:
            self._failing = isinstance(error, _NOT_WRITABLE)
            raise
        self._failing = False
        return on_time


def _named(claim: Claim, outcome: AttemptOutcome) -> str:
    return f"{claim.notification.id}, attempt {claim.number} ({outcome.value}),"
