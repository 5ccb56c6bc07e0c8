"""SQLite connections: one writer and several readers, all of them to the file at the path.

None of them creates a file: a removed file must cause an error rather than be replaced by an empty one.
"""

import sqlite3
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DBAPIError

_READS = "certctl_mcp_reads"
"""The execution option of connections that only read."""


def reading_engine(path: Path, busy_timeout: timedelta) -> Engine:
    return create_engine(
        _url(path),
        connect_args=_connect_args(busy_timeout),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
    )


def writing_engine(path: Path, busy_timeout: timedelta) -> Engine:
    engine = create_engine(_url(path), connect_args=_connect_args(busy_timeout))
    event.listen(engine, "connect", lambda connection, _record: _prepare(connection, busy_timeout))
    event.listen(engine, "begin", _begin_immediately)
    return engine


def data_version(connection: Connection) -> int:
    """Read without the transaction that SQLAlchemy would start."""
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    ((version,),) = driver.execute("PRAGMA data_version").fetchall()
    return int(version)


def _url(path: Path) -> URL:
    query = {"uri": "true", "mode": "rw"}
    return URL.create("sqlite+pysqlite", database=f"file:{quote(str(path.absolute()))}", query=query)


def _connect_args(busy_timeout: timedelta) -> dict[str, float | None]:
    """No connection is used by two threads at once, but different threads may use it in turn."""
    timeout = busy_timeout.total_seconds()
    return {"timeout": timeout, "isolation_level": None, "check_same_thread": False}


def _prepare(connection: DBAPIConnection, busy_timeout: timedelta) -> None:
    try:
        cursor = connection.cursor()
        _switch_to_wal(cursor, time.monotonic() + busy_timeout.total_seconds())
        for pragma in ("synchronous = FULL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except sqlite3.Error:
        # The pool doesn't own the connection yet, so it wouldn't close it.
        connection.close()
        raise


def _switch_to_wal(cursor: DBAPICursor, until: float) -> None:
    # If several connections switch at once, SQLite refuses all but one, whatever the busy timeout.
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as failure:
            if failure.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(0.01)
        else:
            return


def reading(connection: Connection) -> Connection:
    """A connection of the writing engine that executes without taking a lock."""
    return connection.execution_options(**{_READS: True})


def _begin_immediately(connection: Connection) -> None:
    if connection.get_execution_options().get(_READS):
        return
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    # A deferred transaction that reads first and then writes fails at once if another process wrote in
    # between, whatever the busy timeout.
    begin = "BEGIN IMMEDIATE"
    try:
        # Through SQLAlchemy it would cost several times as much.
        driver.execute(begin)
    except sqlite3.Error as failure:
        raise DBAPIError.instance(begin, None, failure, sqlite3.Error) from failure
