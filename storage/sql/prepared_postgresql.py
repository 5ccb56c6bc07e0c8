"""Statements that PostgreSQL gets with every alert, compiled once and executed by the driver's cursor.

Executing them through SQLAlchemy would take as long as the driver and the socket do.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import ClauseElement, Connection
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.exc import DBAPIError, NotSupportedError

from storage.sql.prepared import compile_once

Parameters = tuple[Any, ...]


class PreparedPostgresql:
    """A statement for PostgreSQL. Its rows hold the driver's values.

    It is built when first executed, so never in a process on SQLite.
    """

    def __init__(self, build: Callable[[], ClauseElement]) -> None:
        self._build = build

    def execute(self, connection: Connection, **parameters: object) -> Sequence[Sequence[Any]]:
        """Raises: DBAPIError: as any execution on the connection."""
        text, names, fixed = self._compiled
        values = fixed | parameters
        return _execute(connection, text, tuple(values[name] for name in names))

    @cached_property
    def _compiled(self) -> tuple[str, Sequence[str], dict[str, object]]:
        """The text, the names of the parameters in order, and those that are always the same."""
        compiled, fixed = compile_once(self._build(), asyncpg.dialect())  # type: ignore[no-untyped-call]
        return str(compiled), compiled.positiontup or (), fixed


def _execute(connection: Connection, text: str, parameters: Parameters) -> Sequence[Sequence[Any]]:
    driver, dialect = connection.connection, connection.dialect
    cursor = driver.cursor()
    connection.dispatch.before_cursor_execute(connection, cursor, text, parameters, None, False)
    try:
        cursor.execute(text, parameters)
        return cursor.fetchall()
    except dialect.loaded_dbapi.Error as failure:
        error = DBAPIError.instance(text, parameters, failure, dialect.loaded_dbapi.Error, dialect=dialect)
        assert isinstance(error, DBAPIError)
        # Another program may have changed the table since the statement was prepared.
        stale = isinstance(error, NotSupportedError)
        if stale or dialect.is_disconnect(failure, driver.dbapi_connection, cursor):
            error.connection_invalidated = True
            connection.invalidate(failure)
        raise error from failure
    except Exception:
        raise
    except BaseException:
        # Cancelled: the response may still come.
        connection.invalidate()
        raise
