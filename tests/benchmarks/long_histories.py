"""The histories on PostgreSQL that benchmarks share, because filling them takes longer than measuring."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.benchmarks.durable_server import serving_from
from tests.benchmarks.postgresql_queues import databases, fill
from tests.benchmarks.workspace import Workspace
from tests.postgresql import execute


@contextmanager
def long_histories(workspace: Workspace, stored: Sequence[int]) -> Iterator[Mapping[int, str]]:
    """The URLs of queues by their numbers of rows, each filled by the first benchmark that needs it.

    Raises: NoServerError.
    """
    with serving_from(workspace.postgresql) as server:
        existing = asyncio.run(databases(server.url()))
        urls = {}
        for rows in stored:
            name = f"stored_{rows}"
            urls[rows] = server.url(name)
            if name not in existing:
                asyncio.run(execute(server.url(), f"CREATE DATABASE {name}"))
                asyncio.run(fill(urls[rows], rows))
        yield urls
