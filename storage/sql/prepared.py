"""Statements that SQLite gets thousands of times a second, compiled once and executed as text.

SQLAlchemy builds and compiles them. Executing them through it would take longer than SQLite does for a small
batch.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import ClauseElement, Connection, Dialect, Row
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from storage.sql.json_rows import Value, as_stored


class Prepared:
    """A statement for SQLite. Its rows hold what SQLite stores: a time is text that sorts like the time."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement

    def execute(self, connection: Connection, **parameters: Value) -> Sequence[Row[*tuple[Any, ...]]]:
        """Raises: DBAPIError: as any execution on the connection."""
        text, fixed = self._compiled
        result = connection.exec_driver_sql(text, {**fixed, **as_stored(parameters)})
        return result.all() if result.returns_rows else ()

    @cached_property
    def _compiled(self) -> tuple[str, dict[str, Value]]:
        """The text, and the parameters that are always the same. Made when first needed: few processes
        execute all statements."""
        compiled, fixed = compile_once(self._statement, sqlite.dialect(paramstyle="named"))
        return str(compiled), fixed


def compile_once(statement: ClauseElement, dialect: Dialect) -> tuple[SQLCompiler, dict[str, Any]]:
    """The statement for this dialect, and those of its parameters that are always the same."""
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    return compiled, {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
