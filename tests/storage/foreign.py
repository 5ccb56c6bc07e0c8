"""Other programs at work on the same file, through SQLite itself."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storage.tables import sortable
from tests.builders import NOON


@contextmanager
def connected(path: Path | str) -> Iterator[sqlite3.Connection]:
    """A connection of another program, in autocommit."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def locked(path: Path | str) -> Iterator[None]:
    """The file while another program writes to it and does not come to an end."""
    with connected(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def insert_row(path: Path | str, *, without: Collection[str] = (), **overrides: Any) -> None:
    """A notification as another program may write it."""
    row = {
        "id": "foreign-1",
        "type": "ExpirationWarning",
        "channel": "Email",
        "recipient": "ops@example.com",
        "message": "written by another program",
        "status": "pending",
        "created_at": sortable(NOON),
    } | overrides
    row = {name: value for name, value in row.items() if name not in without}
    marks = ", ".join("?" for _ in row)
    with connected(path) as other:
        other.execute(f"INSERT INTO notification_events ({', '.join(row)}) VALUES ({marks})", [*row.values()])


def integrity(path: Path | str) -> str:
    """`ok`, or what SQLite finds wrong with the file."""
    with connected(path) as other:
        (answer,) = other.execute("PRAGMA integrity_check").fetchone()
    return str(answer)
