"""SQLite's query plans for the statements of an operation, with their actual parameters."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

from tests.storage.raw_sql import connected

_TABLES = (
    *(f"notification_{table}" for table in ("events", "attempts", "audit", "processes", "figures")),
    "later",
    "replacement",
)
"""The last two are aliases."""
READING = tuple(f"{verb} {table}" for verb in ("SCAN", "SEARCH") for table in _TABLES)

Statement = tuple[str, Any]


@dataclass(frozen=True)
class Step:
    """A line of a plan, such as `SEARCH notification_events USING INDEX idx_... (status=?)`."""

    detail: str

    @property
    def reads_a_table(self) -> bool:
        return self.detail.startswith(READING)

    @property
    def searches(self) -> bool:
        return self.detail.startswith("SEARCH")

    @property
    def index(self) -> str:
        """The index's name without the common prefix."""
        if "PRIMARY KEY" in self.detail or "sqlite_autoindex" in self.detail:
            return "primary key"
        words = self.detail.split()
        return words[words.index("INDEX") + 1].removeprefix("idx_notification_") if "INDEX" in words else ""


@contextmanager
def recorded() -> Iterator[list[Statement]]:
    """Records the statements that any engine runs during the block, with their parameters."""
    statements: list[Statement] = []

    def record(
        _connection: Connection, _cursor: object, statement: str, parameters: Any, *_rest: object
    ) -> None:
        if statement.split()[0] not in ("BEGIN", "PRAGMA"):
            statements.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", record)


def plan(path: Path, statements: list[Statement]) -> list[Step]:
    with connected(path) as other:
        return [
            Step(row[-1])
            for statement, parameters in statements
            for row in other.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]


def instructions(path: Path, statement: Statement) -> int:
    """Thousands of SQLite virtual machine instructions that a query takes."""
    thousands = 0

    def count() -> int:
        nonlocal thousands
        thousands += 1
        return 0

    with connected(path) as other:
        other.set_progress_handler(count, 1000)
        other.execute(*statement).fetchall()
    return thousands
