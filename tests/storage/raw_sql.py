"""Access to the database as another program has it, without our code."""

import asyncio
import re
import sqlite3
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import make_url

from storage.engine.sqlite.backend import path_of
from storage.sql.types import sortable
from tests.builders import NOON


@contextmanager
def connected(path: Path | str) -> Iterator[sqlite3.Connection]:
    """A separate SQLite connection in autocommit mode."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def locked(path: Path | str) -> Iterator[None]:
    """The database while another program holds a write transaction open."""
    file = _file(path)
    if file is None:
        with _locked_table(str(path)):
            yield
        return
    with connected(file) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def _locked_table(url: str) -> Iterator[None]:
    taken, ended = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(url)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE notification_events")
                taken.set()
                await asyncio.to_thread(ended.wait)
        finally:
            await connection.close()

    # A loop may be running here.
    with ThreadPoolExecutor(1) as thread:
        holding = thread.submit(asyncio.run, hold())
        holding.add_done_callback(lambda _: taken.set())
        taken.wait()
        try:
            yield
        finally:
            ended.set()
            holding.result()


def run(database: Path | str, statement: str, *values: Any) -> None:
    """Execute one statement; `$1` and so on are its parameters."""
    rows(database, statement, *values)


def rows(database: Path | str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Query the rows of a statement; see `run`."""
    file = _file(database)
    if file is not None:
        with connected(file) as other:
            return other.execute(_as_in_sqlite(statement), values).fetchall()

    async def fetch() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(str(database))
        try:
            return [tuple(row) for row in await connection.fetch(statement, *values)]
        finally:
            await connection.close()

    # A loop may be running here.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, fetch()).result()


def insert_row(database: Path | str, *, without: Collection[str] = (), **overrides: Any) -> None:
    """Insert a notification as another program might."""
    row: dict[str, Any] = {
        "id": "foreign-1",
        "type": "ExpirationWarning",
        "channel": "Email",
        "recipient": "ops@example.com",
        "message": "written by another program",
        "status": "pending",
        "created_at": NOON,
    } | overrides
    row = {name: value for name, value in row.items() if name not in without}
    if _file(database) is not None:
        row = {name: sortable(v) if isinstance(v, datetime) else v for name, v in row.items()}
    marks = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    run(database, f"INSERT INTO notification_events ({', '.join(row)}) VALUES ({marks})", *row.values())


def _as_in_sqlite(statement: str) -> str:
    return re.sub(r"\$(\d+)", r"?\1", statement)


def _file(database: Path | str) -> Path | None:
    if isinstance(database, Path):
        return database
    return path_of(make_url(database)) if database.startswith("sqlite:") else None


def integrity(path: Path | str) -> str:
    """`ok`, or the problems that SQLite finds in the file."""
    with connected(path) as other:
        (answer,) = other.execute("PRAGMA integrity_check").fetchone()
    return str(answer)
