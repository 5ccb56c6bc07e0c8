"""Why can't the database be used? Turns a driver's error into one that a person can act on."""

from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten

from sqlalchemy.exc import DBAPIError

from storage.errors import (
    DatabaseBusyError,
    DatabaseReadOnlyError,
    DiskFullError,
    NotADatabaseError,
    StorageError,
)

LONGEST_STATEMENT = 120

_KNOWN: tuple[tuple[str, type[StorageError], str], ...] = (
    (
        "SQLITE_BUSY",
        DatabaseBusyError,
        "is locked by another process for longer than the busy timeout; try again, or end that process",
    ),
    ("SQLITE_LOCKED", DatabaseBusyError, "is locked by another connection; try again"),
    (
        "SQLITE_READONLY",
        DatabaseReadOnlyError,
        "can't be written; give this user the right to write the file and its directory",
    ),
    (
        "SQLITE_CANTOPEN",
        DatabaseReadOnlyError,
        "can't be opened; check that its directory exists and that this user may write there",
    ),
    ("SQLITE_PERM", DatabaseReadOnlyError, "can't be opened by this user"),
    ("SQLITE_FULL", DiskFullError, "can't grow: the disk is full; free some room, nothing was written"),
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
)


@contextmanager
def explained(location: str) -> Iterator[None]:
    """Raise a StorageError in place of what the driver raises for the database at `location`."""
    try:
        yield
    except DBAPIError as failure:
        name = getattr(failure.orig, "sqlite_errorname", "")
        for prefix, error, explanation in _KNOWN:
            if name.startswith(prefix):
                raise error(f"the database {location} {explanation}") from failure
        # None of the causes that are known: the statement is the best clue.
        statement = shorten(failure.statement or "", LONGEST_STATEMENT)
        raise StorageError(
            f"the database {location} can't be used: {failure.orig}, in: {statement}"
        ) from failure
    except OSError as failure:
        raise DatabaseReadOnlyError(
            f"the database {location} can't be opened: {failure.strerror}"
        ) from failure
