"""Transactions on SQLite: one at a time, each in a worker thread from start to end.

A commit is on disk, in the file at the path, before it is acknowledged.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import TypeVar

import anyio.to_thread
from sqlalchemy import Connection, Engine, RootTransaction
from sqlalchemy.exc import DBAPIError

from storage.clock import Clock
from storage.engine.driver_errors import code_of
from storage.engine.per_database import for_sqlite
from storage.engine.sqlite.connections import data_version, reading
from storage.engine.sqlite.database_file import DatabaseFile, DatabaseFileError, FileProblem
from storage.engine.transaction import CommitUnansweredError, Transaction, TransactionFailedError
from storage.errors import DatabaseTooNewError
from storage.schema.migrations import REVISIONS, bring_up_to_date, current_revision

Result = TypeVar("Result")

CONTENTION_FACTOR = 12
"""How many busy timeouts a writer waits while other processes make progress."""

_BUSY = "SQLITE_BUSY"
_FULL = "SQLITE_FULL"


class Transactions:
    """Runs work in transactions; see `Transact`."""

    def __init__(
        self,
        engine: Engine,
        file: DatabaseFile,
        clock: Clock,
        busy_timeout: timedelta,
        *,
        migrate: bool,
        is_current: bool,
    ) -> None:
        """`is_current`: the file is known to have the newest schema. A file that replaces it may not have
        it."""
        self._engine = engine
        self._file = file
        self._clock = clock
        self._busy_timeout = busy_timeout
        self._migrate = migrate
        self._is_current = is_current
        self._connection: Connection | None = None

    async def __call__(self, work: Callable[[Transaction], Result], *, repeatable: bool) -> Result:
        return await anyio.to_thread.run_sync(self._do, work)

    async def open(self) -> None:
        """Connect, so that a file that can't be used is found at once."""
        await anyio.to_thread.run_sync(self._connected)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()

    def _do(self, work: Callable[[Transaction], Result]) -> Result:
        try:
            return self._once(work)
        except DBAPIError as failure:
            # A checkpoint may free space in the log, but SQLite starts none on a full disk.
            if code_of(failure) != _FULL or not self._checkpoint("TRUNCATE"):
                raise
            return self._once(work)

    def _once(self, work: Callable[[Transaction], Result]) -> Result:
        try:
            connection = self._connected()
            transaction = self._begin(connection)
        except (DBAPIError, DatabaseFileError, DatabaseTooNewError) as failure:
            raise TransactionFailedError(failure) from failure
        with transaction:
            result = work(Transaction(connection, self._clock, for_sqlite))
            try:
                self._file.check()
            except DatabaseFileError as failure:
                raise TransactionFailedError(failure) from failure
        if self._file.problem() is not None:
            raise TransactionFailedError(CommitUnansweredError())
        if self._file.is_low_on_space():
            self._checkpoint("PASSIVE")
        return result

    def _connected(self) -> Connection:
        problem = self._file.problem()
        if problem is FileProblem.MISSING:
            # The file may be put back, so it stays open.
            raise DatabaseFileError(problem)
        if problem is FileProblem.REPLACED:
            self.close()
            self._file.adopt()
        if self._connection is None:
            self._connection = self._opened()
        return self._connection

    def _opened(self) -> Connection:
        if self._migrate and not self._is_current:
            _migrate(self._engine, self._busy_timeout)
        self._is_current = False
        connection = self._engine.connect()
        # Reading opens the log.
        data_version(connection)
        self._file.note_log()
        return connection

    def _begin(self, connection: Connection) -> RootTransaction:
        """Wait for the write lock: one busy timeout if no other process makes progress, and longer otherwise.
        So when many processes start together, each gets its turn."""
        deadline = monotonic() + CONTENTION_FACTOR * self._busy_timeout.total_seconds()
        seen = data_version(connection)
        while True:
            try:
                return connection.begin()
            except DBAPIError as failure:
                if not code_of(failure).startswith(_BUSY) or monotonic() >= deadline:
                    raise
                now = data_version(connection)
                if now == seen:
                    raise
                seen = now

    def _checkpoint(self, mode: str) -> bool:
        """Whether the whole log was copied to the file."""
        if self._connection is None:
            return False
        driver = self._connection.connection.dbapi_connection
        assert driver is not None
        with suppress(self._engine.dialect.loaded_dbapi.Error):
            cursor = driver.cursor()
            cursor.execute(f"PRAGMA wal_checkpoint({mode})")
            busy, _logged, _copied = cursor.fetchone() or (1, 0, 0)
            cursor.close()
            return busy == 0
        return False


def _migrate(engine: Engine, busy_timeout: timedelta) -> None:
    """Bring the schema up to date, or wait while another process does."""
    deadline = monotonic() + CONTENTION_FACTOR * busy_timeout.total_seconds()
    while True:
        try:
            with engine.connect() as connection:
                if current_revision(reading(connection)) == REVISIONS[-1]:
                    return
            with engine.connect() as connection:
                bring_up_to_date(connection)
                return
        except DBAPIError as failure:
            if not code_of(failure).startswith(_BUSY) or monotonic() >= deadline:
                raise
