"""The PostgreSQL server of the benchmarks, as durable as one in production."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

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

_DISK = "/var/tmp"
"""On disk, because the temporary directory may be in memory. TMPDIR overrides it."""

_NUMBERS = count(1)


@contextmanager
def serving() -> Iterator[Server]:
    """A running server. Raises: NoServerError."""
    place = os.environ.get("TMPDIR", _DISK)
    with TemporaryDirectory(prefix="certctl-mcp-benchmarks-pg-", dir=place) as directory:
        server = Server(Path(directory), free_port(), settings=_SETTINGS)
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
