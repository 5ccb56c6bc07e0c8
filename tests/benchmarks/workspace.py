"""The directories of the benchmarks' databases, with large queues that are built once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.sqlite_queues import Life, fill

ROOT = Path(__file__).parents[2]

_DISK = "/var/tmp"
"""PostgreSQL's, because the temporary directory may be in memory. TMPDIR overrides it."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A directory on the disk to be measured."""

    directory: Path
    postgresql: Path
    """The directory of the server that keeps long histories."""
    _numbers: Iterator[int] = field(default_factory=count)

    def new_database(self) -> Path:
        """The path of a database that does not exist yet."""
        return self.directory / f"{next(self._numbers)}.db"

    def large_queue(self, rows: int, life: Life) -> Path:
        """A queue of this many notifications, created at the first call."""
        path = self.directory / f"{life.name}-{rows}.db"
        if not path.exists():
            fill(path, rows, life)
        return path


@contextmanager
def workspace(parent: Path | None) -> Iterator[Workspace]:
    """A workspace that is deleted afterwards. `parent` is the system's temporary directory by default."""
    with (
        TemporaryDirectory(prefix="certctl-mcp-benchmarks-", dir=parent) as directory,
        postgresql_directory() as postgresql,
    ):
        yield Workspace(Path(directory), postgresql)


@contextmanager
def postgresql_directory() -> Iterator[Path]:
    """A directory for a server of PostgreSQL, deleted afterwards."""
    place = os.environ.get("TMPDIR", _DISK)
    with TemporaryDirectory(prefix="certctl-mcp-benchmarks-pg-", dir=place) as directory:
        yield Path(directory)
