"""Translates driver errors into errors that a person can act on."""

from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from storage.engine.group_commit import WriteFailedError
from storage.engine.sqlite.database_file import DatabaseFileError, FileProblem
from storage.engine.transaction import CommitUnansweredError, TransactionFailedError
from storage.errors import (
    ChangeUnknownError,
    DatabaseBusyError,
    DatabaseReadOnlyError,
    DatabaseTooNewError,
    DatabaseUnreachableError,
    DiskFullError,
    NotADatabaseError,
    StorageError,
)

LONGEST_STATEMENT = 120

_TRANSLATED = (
    TransactionFailedError,
    CommitUnansweredError,
    DatabaseFileError,
    DBAPIError,
    PoolTimeoutError,
    TimeoutError,
    OSError,
)

_FILE_PROBLEMS = {
    FileProblem.MISSING: "is gone: its file was removed or moved away; put it back, or restart this program "
    "to begin with an empty one",
    FileProblem.REPLACED: "was replaced by another file, which is being opened; try again",
}

_UNKNOWN = (
    "the connection to the database was lost before it responded, so whether the change was made can't be "
    "known; check before trying again (sending again is safe with the same idempotency key)"
)

LOST = "08"
"""The SQLSTATE class of connection exceptions."""

BEHIND_POOLER = (
    "is behind a pooler, which may run each transaction on another connection: add ?pgbouncer=true to "
    "CERTCTL_DATABASE_URL (pgbouncer=false if it keeps each session on one)"
)

_KNOWN: tuple[tuple[str, type[StorageError], str], ...] = (
    (
        "SQLITE_BUSY",
        DatabaseBusyError,
        "has been locked by another process for longer than the busy timeout; try again, or end that process",
    ),
    ("SQLITE_LOCKED", DatabaseBusyError, "is locked by another connection; try again"),
    (
        "SQLITE_READONLY",
        DatabaseReadOnlyError,
        "can't be written; allow this user to write the file and its directory",
    ),
    (
        "SQLITE_CANTOPEN",
        DatabaseReadOnlyError,
        "can't be opened; check that its directory exists and that this user may write there",
    ),
    ("SQLITE_PERM", DatabaseReadOnlyError, "can't be opened by this user"),
    ("SQLITE_FULL", DiskFullError, "can't grow: the disk is full; nothing was written; free some space"),
    (
        "SQLITE_NOTADB",
        NotADatabaseError,
        "is not a SQLite database; set CERTCTL_DATABASE_URL to another file, or move this one away",
    ),
    (
        "SQLITE_CORRUPT",
        NotADatabaseError,
        "is damaged; restore it from a backup, or recover it with the sqlite3 shell's .recover",
    ),
    ("SQLITE_IOERR", StorageError, "can't be read or written: the disk reports an error"),
    ("28", StorageError, "refuses this user or its password; check both in CERTCTL_DATABASE_URL"),
    ("3D000", StorageError, "does not exist; create it, or name another in CERTCTL_DATABASE_URL"),
    (
        "53300",
        DatabaseUnreachableError,
        "has no free connection; raise max_connections, run fewer processes, or put a pooler in front of it",
    ),
    ("53100", DiskFullError, "can't grow: the disk is full; nothing was written; free some space"),
    ("57P", DatabaseUnreachableError, "is starting up or shutting down"),
    ("08", DatabaseUnreachableError, "can't be reached: the connection was lost"),
    ("22021", StorageError, "can't store the character NUL, which a text contains"),
    ("22P05", StorageError, "can't store the character NUL, which a text contains"),
    (
        "55P03",
        DatabaseBusyError,
        "has been locked by another process for longer than the busy timeout; try again",
    ),
    ("57014", DatabaseBusyError, "took too long to respond; try again, or request less"),
    ("25P03", DatabaseBusyError, "ended a transaction that this process left idle; try again"),
    # The name of a prepared statement that another session uses, or that does not exist.
    ("42P05", StorageError, BEHIND_POOLER),
    ("26000", StorageError, BEHIND_POOLER),
    ("40", DatabaseBusyError, "is changing the same rows for other clients; try again"),
    ("42501", DatabaseReadOnlyError, "does not allow this user to do that; grant it, or use another user"),
    ("25006", DatabaseReadOnlyError, "is read-only: perhaps a standby; name the primary"),
    (
        "42P01",
        StorageError,
        "lacks the tables of this program; run certctl-mcp migrate with a user that may create them",
    ),
    (
        "42703",
        StorageError,
        "lacks columns of this program; run certctl-mcp migrate with a user that may add them",
    ),
)
"""By the first characters of SQLite's error name or of a SQLSTATE."""


@contextmanager
def storage_errors(location: str) -> Iterator[None]:
    """Raise a StorageError instead of the engine's errors for the database at `location`."""
    try:
        yield
    except WriteFailedError as failure:
        if (explanation := _explanation(failure.cause, location)) is None:
            raise
        raise explanation from failure.cause
    except _TRANSLATED as failure:
        if (explanation := _explanation(failure, location)) is None:
            raise
        raise explanation from failure


def _explanation(failure: Exception, location: str) -> StorageError | None:
    """A new error for each caller; None if the database did not cause the failure."""
    if isinstance(failure, TransactionFailedError):
        return _explanation(failure.cause, location)
    if isinstance(failure, DatabaseTooNewError):
        return DatabaseTooNewError(str(failure))
    if isinstance(failure, DatabaseFileError):
        return DatabaseUnreachableError(f"the database {location} {_FILE_PROBLEMS[failure.problem]}")
    if isinstance(failure, CommitUnansweredError):
        return ChangeUnknownError(_UNKNOWN)
    if isinstance(failure, DBAPIError):
        return _explanation_by_code(failure, location)
    if isinstance(failure, PoolTimeoutError):
        return DatabaseBusyError(
            f"the database {location} has no free connection for this request; try again"
        )
    if isinstance(failure, TimeoutError):
        return DatabaseUnreachableError(f"the database {location} can't be reached: no response in time")
    if isinstance(failure, OSError):
        reason = failure.strerror or str(failure)
        if "://" in location:
            return DatabaseUnreachableError(f"the database {location} can't be reached: {reason}")
        return DatabaseReadOnlyError(f"the database {location} can't be opened: {reason}")
    return None


def _explanation_by_code(failure: DBAPIError, location: str) -> StorageError:
    code = code_of(failure)
    for prefix, error, explanation in _KNOWN:
        if code.startswith(prefix):
            return error(f"the database {location} {explanation}")
    # Not a known cause, so the statement is the best clue.
    statement = shorten(failure.statement or "", LONGEST_STATEMENT)
    within = f", in: {statement}" if statement else ""
    return StorageError(f"the database {location} can't be used: {failure.orig}{within}")


def code_of(failure: DBAPIError) -> str:
    """SQLite's name for the error, or the SQLSTATE."""
    named = getattr(failure.orig, "sqlite_errorname", None) or getattr(failure.orig, "sqlstate", None)
    return str(named or (LOST if failure.connection_invalidated else ""))
