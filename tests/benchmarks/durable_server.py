"""The PostgreSQL server of the benchmarks, as durable as one in production."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.benchmarks.workspace import postgresql_directory
from tests.postgresql import Server, execute, free_port

_SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "shared_buffers": "1GB",
    "maintenance_work_mem": "1GB",
    "max_wal_size": "8GB",
    # Rows inserted in the transaction that emptied the table are written once instead of twice.
    "wal_level": "minimal",
    "max_wal_senders": "0",
}

_NUMBERS = count(1)


@contextmanager
def serving() -> Iterator[Server]:
    """A running server with no databases yet. Raises: NoServerError."""
    with postgresql_directory() as directory, serving_from(directory) as server:
        yield server


@contextmanager
def serving_from(directory: Path) -> Iterator[Server]:
    """A running server with the databases that an earlier one left there, if any. Raises: NoServerError."""
    server = Server(directory, free_port(), settings=_SETTINGS)
    if not any(directory.iterdir()):
        server.initialise()
    server.start()
    try:
        yield server
    finally:
        server.stop("fast")


@contextmanager
def database(server: Server) -> Iterator[str]:
    """The URL of an empty database that is dropped afterwards."""
    name = f"benchmark_{next(_NUMBERS)}"
    asyncio.run(execute(server.url(), f"CREATE DATABASE {name}"))
    try:
        yield server.url(name)
    finally:
        asyncio.run(execute(server.url(), f"DROP DATABASE {name} WITH (FORCE)"))
