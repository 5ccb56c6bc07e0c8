"""The state of a database, for a check of the setup. It is determined by reading only."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from storage.database import backend_for
from storage.engine.driver_errors import storage_errors
from storage.platform import DiskSpace, disk_space, is_owned_by_another, owner_of
from storage.schema.migrations import REVISIONS
from storage.schema.tables import notification_events


@dataclass(frozen=True, slots=True)
class FileState:
    """The file of a SQLite database, or the place where it would be."""

    path: Path
    exists: bool
    size: int = 0
    """Bytes."""
    owner: str | None = None
    owned_by_another: bool = False
    """Whether a user other than this process's owns it."""
    mode: int = 0
    writable: bool = False
    """This user may write the file and its directory, or create them."""
    modified_at: datetime | None = None
    space: DiskSpace | None = None
    """None if it is unknown."""


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What a database contains, determined without creating or changing anything."""

    location: str
    """The URL or path, without secrets."""
    file: FileState | None
    """None if the database is on a server."""
    has_queue: bool
    revision: str | None
    """None if this program has never migrated it."""
    missing: tuple[str, ...]
    """A line for each part of the schema that a migration would add."""
    clock_ahead: timedelta | None
    """How far a server's clock is ahead of this machine's."""

    @property
    def is_current(self) -> bool:
        return self.revision == REVISIONS[-1]

    @property
    def newest_revision(self) -> str:
        """The revision that this version of the program has."""
        return REVISIONS[-1]


async def database_state(url: str) -> DatabaseState:
    """Raises: StorageError: the database can't be read."""
    backend = backend_for(url)
    file = _file_state(Path(backend.location)) if url.strip().startswith("sqlite") else None
    with storage_errors(backend.location):
        state = await backend.inspect()
    return DatabaseState(
        backend.location,
        file,
        notification_events not in state.missing.tables,
        state.revision,
        state.missing.described,
        state.clock_ahead,
    )


def file_state(url: str) -> FileState | None:
    """The state of the database's file; None if it is on a server. Raises: StorageError: the URL can't be
    used."""
    return _file_state(Path(backend_for(url).location)) if url.strip().startswith("sqlite") else None


def _file_state(path: Path) -> FileState:
    if not path.exists():
        there = next((parent for parent in path.absolute().parents if parent.exists()), Path("/"))
        return FileState(path, False, writable=os.access(there, os.W_OK | os.X_OK), space=disk_space(there))
    found = path.stat()
    return FileState(
        path,
        True,
        found.st_size,
        owner_of(path),
        is_owned_by_another(path),
        found.st_mode & 0o777,
        os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK),
        datetime.fromtimestamp(found.st_mtime, UTC),
        disk_space(path),
    )
