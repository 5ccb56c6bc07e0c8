"""The schema of a new SQLite file, created at once by `new_file.sql`, which has the result of all revisions.

Running them one by one takes five times as long and imports Alembic, whose memory a server would keep.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from sqlalchemy import Connection

SCRIPT = Path(__file__).with_suffix(".sql")


def is_new(connection: Connection) -> bool:
    """Whether it is an SQLite file without any table."""
    if connection.dialect.name != "sqlite":
        return False
    return connection.exec_driver_sql("SELECT 1 FROM sqlite_schema LIMIT 1").first() is None


def create_schema(connection: Connection) -> None:
    for statement in _statements(SCRIPT.read_text(encoding="utf-8").splitlines(keepends=True)):
        connection.exec_driver_sql(statement)


def _statements(lines: Iterable[str]) -> Iterator[str]:
    """The statements of a script. The body of a trigger contains semicolons, too."""
    statement = ""
    for line in lines:
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
