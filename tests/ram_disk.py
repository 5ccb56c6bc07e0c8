"""Keeps the files of tests in memory, if possible. They don't outlive the tests, so they need no disk."""

import os
import shutil

_SHARED_MEMORY = "/dev/shm"
_SPACE_NEEDED = 4 << 30

MEMORY = (
    _SHARED_MEMORY
    if os.path.isdir(_SHARED_MEMORY) and shutil.disk_usage(_SHARED_MEMORY).free > _SPACE_NEEDED
    else None
)
"""A directory in memory, if there is one with enough space."""


def keep_files_in_memory() -> None:
    """Make pytest and its workers create their temporary directories there."""
    if MEMORY is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)
