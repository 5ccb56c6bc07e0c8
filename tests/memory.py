"""Where do tests keep what they write? Nothing of it outlives them, so nothing needs to wait for a disk."""

import os
import shutil

_PLACE = "/dev/shm"
_ROOM = 4 << 30

MEMORY = _PLACE if os.path.isdir(_PLACE) and shutil.disk_usage(_PLACE).free > _ROOM else None
"""A directory that is no disk, if there is one with room."""


def keep_files_in_memory() -> None:
    """pytest's temporary directories are made there, and those of its workers."""
    if MEMORY is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)
