"""The directory of the benchmarks' databases, with large queues that are built once."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.benchmarks.sqlite_queues import Life, fill

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Workspace:
    """A directory on the disk to be measured."""

    directory: Path
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
    with tempfile.TemporaryDirectory(prefix="certctl-mcp-benchmarks-", dir=parent) as directory:
        yield Workspace(Path(directory))
