"""Everything in storage that differs between operating systems, with a POSIX and a Windows part.

No other module of the package imports what only some systems have. mypy checks both parts
(`--platform win32`, `--platform darwin`).
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class DiskSpace(NamedTuple):
    """Of the disk that holds a file, in bytes."""

    free: int
    total: int


if sys.platform == "win32":
    IS_WINDOWS = True

    @contextmanager
    def locked_directory(directory: Path) -> Iterator[None]:
        """See the POSIX part. Not needed: Windows neither moves nor removes an open file."""
        yield

    def disk_space(path: Path) -> DiskSpace | None:
        """See the POSIX part. Unknown on Windows."""
        return None

    def owner_of(path: Path) -> str | None:
        """See the POSIX part. Windows has no such owners."""
        return None

    def is_owned_by_another(path: Path) -> bool:
        """See the POSIX part."""
        return False

    def other_owner_of(path: Path) -> str | None:
        """See the POSIX part. Unknown on Windows."""
        return None

    def sync_directory(directory: Path) -> None:
        """See the POSIX part. Windows can't open directories, and doesn't need to sync them."""

else:
    import fcntl
    import pwd

    IS_WINDOWS = False

    @contextmanager
    def locked_directory(directory: Path) -> Iterator[None]:
        """Exclude other processes that lock this directory."""
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def disk_space(path: Path) -> DiskSpace | None:
        """What an unprivileged user may still write; None if it is unknown."""
        try:
            disk = os.statvfs(path)
        except OSError:
            return None
        return DiskSpace(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)

    def owner_of(path: Path) -> str | None:
        """The name of the user who owns the file, or the number of one without a name.

        Raises: OSError: the file can't be inspected.
        """
        uid = path.stat().st_uid
        return _user_name(uid) or str(uid)

    def is_owned_by_another(path: Path) -> bool:
        """Whether a user other than this process's owns the file. Raises: OSError."""
        return path.stat().st_uid != os.geteuid()

    def other_owner_of(path: Path) -> str | None:
        """The owner of the file, or of the first directory on the path to it that this user may see.

        None if that is this user.
        """
        for place in (path, *path.parents):
            try:
                owner = os.stat(place).st_uid
            except OSError:
                continue
            # The form in which sudo takes a user without a name.
            return None if owner == os.geteuid() else _user_name(owner) or f"#{owner}"
        return None

    def _user_name(uid: int) -> str | None:
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return None

    def sync_directory(directory: Path) -> None:
        """Make the names of the files in this directory durable."""
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
