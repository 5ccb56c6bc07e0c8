"""The file of an SQLite database: whether it is still at its path, and how much space its disk has.

A file that was removed or moved away can still be written through an open connection, but those changes are
lost with the connection. So the path is checked before a commit is acknowledged, and before each read.
"""

import errno
import os
from enum import Enum, auto
from pathlib import Path

from storage.platform import disk_space, locked_directory, other_owner_of

LOW_SPACE = 16 << 20
"""With less free space in bytes, the write-ahead log is kept short: it must not fill the disk."""

LARGEST_RESERVE = 4 << 20
"""This much free space in bytes, or a 16th of a small disk, is kept for the outcomes of deliveries."""

_SIDE_FILES = ("-wal", "-shm")

Identity = tuple[int, int]
"""Device and inode, which a file keeps when it is moved."""


class FileProblem(Enum):
    MISSING = auto()
    """There is no file at the path."""
    REPLACED = auto()
    """There is another file at the path, which this process has not opened yet."""


class DatabaseFileError(Exception):
    """The file at the path is not the one that is open."""

    def __init__(self, problem: FileProblem) -> None:
        super().__init__(problem.name.lower())
        self.problem = problem


class DatabaseFile:
    """The path of a database, and the file there that this process uses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.identity: Identity | None = None
        """The identity of the file in use; None before the first `adopt`."""
        self._log_identity: Identity | None = None

    def create(self) -> None:
        """Create the file unless it exists.

        Raises: OSError: it can't be created, or this user may not write it.
        """
        path = self.path
        expect_reachable(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not path.exists():
            with locked_directory(self.path.parent):
                if not path.exists():
                    # Left by a removed database; SQLite would apply them to the new one.
                    for suffix in _SIDE_FILES:
                        self._side_file(suffix).unlink(missing_ok=True)
                    # Alerts contain names of people and hosts, so only the owner may read the file.
                    path.touch(mode=0o600)
        if not _may(os.W_OK, path):
            # SQLite would open it read-only, and fail at the first write.
            raise _forbidden("this user may not write it", path)

    def adopt(self) -> None:
        """Use the file that is at the path now. All connections to the previous file must be closed.

        Raises: DatabaseFileError: there is none.
        """
        found = _identity(self.path)
        if found is None:
            raise DatabaseFileError(FileProblem.MISSING)
        if self.identity is not None and found != self.identity:
            with locked_directory(self.path.parent):
                # The previous file's log may still be there, and SQLite would apply it to this file.
                # Processes that still use that log keep it open.
                if self._log_identity is not None and _identity(self._log) == self._log_identity:
                    for suffix in _SIDE_FILES:
                        self._side_file(suffix).unlink(missing_ok=True)
        self.identity = found

    def note_log(self) -> None:
        """Remember which write-ahead log belongs to the file in use, once a connection is open."""
        self._log_identity = _identity(self._log)

    def problem(self) -> FileProblem | None:
        found = _identity(self.path)
        if found is None:
            return FileProblem.MISSING
        return None if found == self.identity else FileProblem.REPLACED

    def check(self) -> None:
        """Raises: DatabaseFileError: the path does not lead to the file in use."""
        if (problem := self.problem()) is not None:
            raise DatabaseFileError(problem)

    def is_low_on_space(self) -> bool:
        space = disk_space(self.path)
        return space is not None and space.free < LOW_SPACE

    def has_space(self) -> bool:
        """Whether there is space for more notifications, in addition to the space for the outcomes of their
        deliveries."""
        space = disk_space(self.path)
        return space is None or space.free >= min(LARGEST_RESERVE, space.total // 16)

    @property
    def _log(self) -> Path:
        return self._side_file("-wal")

    def _side_file(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)


def expect_reachable(path: Path) -> None:
    """Raises: PermissionError: this user may not read the file, or not even see whether it is there."""
    try:
        # Unlike this, `Path.exists` hides a PermissionError in Python 3.14.
        os.stat(path)
    except PermissionError:
        raise _forbidden("this user may not enter its directory", path) from None
    except OSError:
        return
    if not _may(os.R_OK, path):
        raise _forbidden("this user may not read it", path)


def _may(what: int, path: Path) -> bool:
    return os.access(path, what, effective_ids=os.access in os.supports_effective_ids)


def _forbidden(reason: str, path: Path) -> PermissionError:
    owner = other_owner_of(path)
    if owner is not None:
        reason = f"{reason}; it belongs to {owner}, so run this as that user: sudo -u {owner} ..."
    return PermissionError(errno.EACCES, reason, str(path))


def _identity(path: Path) -> Identity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
