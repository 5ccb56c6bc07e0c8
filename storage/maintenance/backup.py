"""Backs up an SQLite database in use to a new file.

SQLite's online backup copies one consistent state, with everything that was acknowledged before it began.
The copy appears under its name only once it is complete and on disk.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import make_url

from storage.database import backend_for
from storage.engine.postgresql.url import SCHEMES
from storage.engine.sqlite.backend import path_of
from storage.errors import StorageError
from storage.platform import sync_directory
from storage.schema.tables import notification_events

BUSY_TIMEOUT_SECONDS = 30


class BackupRefusedError(Exception):
    """The request can't be fulfilled; the message says what to do instead."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that is complete."""

    location: str
    """The database's URL or path, without secrets."""
    file: Path
    notifications: int
    size: int
    """Bytes."""


def backup(url: str, file: Path) -> Backup:
    """Copy the database at `url` to a new `file`, readable by its owner only.

    Raises:
        BackupRefusedError: the file exists, or the database is not SQLite.
        StorageError: the database can't be read, or the file can't be written.
    """
    location = backend_for(url).location
    if url.strip().partition("://")[0].partition("+")[0] in SCHEMES:
        raise BackupRefusedError(
            f"this command backs up only SQLite; for PostgreSQL, run "
            f"pg_dump --format=custom --file={file} {location}"
        )
    source = path_of(make_url(url.strip()))
    if not source.exists():
        raise StorageError(f"the database {location} can't be backed up: there is no such file")
    if os.path.lexists(file):
        raise BackupRefusedError(f"{file} exists, and a backup never overwrites a file; name a new one")
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        with _new_file(partial):
            notifications = _copied(source, partial)
            # Unlike a rename, a hard link never replaces a file that was created meanwhile.
            os.link(partial, file)
        sync_directory(file.parent)
    except FileExistsError:
        raise BackupRefusedError(
            f"{file} exists, and a backup never overwrites a file; name a new one"
        ) from None
    except sqlite3.Error as failure:
        raise StorageError(f"the database {location} can't be backed up to {file}: {failure}") from failure
    except OSError as failure:
        reason = failure.strerror or str(failure)
        raise StorageError(f"the backup {file} can't be written: {reason}") from failure
    return Backup(location, file, notifications, file.stat().st_size)


@contextmanager
def _new_file(path: Path) -> Iterator[None]:
    """A temporary file that only its owner may read, removed at the end with SQLite's side files."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _copied(source: Path, target: Path) -> int:
    """Copy, check and sync; the number of notifications in the copy."""
    with closing(_connect(source)) as database, closing(_connect(target)) as copy:
        # In one step, so that writers can continue without restarting the backup.
        database.backup(copy, pages=-1)
        # Without WAL, so that the backup is a single file.
        copy.execute("PRAGMA journal_mode = DELETE")
        ((found,),) = copy.execute("PRAGMA quick_check(1)").fetchall()
        if found != "ok":
            raise sqlite3.DatabaseError(f"it is damaged: {found}")
        exists = copy.execute(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?",
            (notification_events.name,),
        ).fetchone()[0]
        count = f"SELECT count(*) FROM {notification_events.name}"
        notifications = int(copy.execute(count).fetchone()[0]) if exists else 0
    descriptor = os.open(target, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return notifications


def _connect(path: Path) -> sqlite3.Connection:
    address = f"file:{quote(str(path.absolute()))}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
