"""procrastinate on PostgreSQL, over its own asynchronous connector, with one task: post a body to a URL.

Its worker takes jobs one by one, each in a transaction. With autocommit that is one statement and not three,
which is the best that its connector can be told.
"""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
from procrastinate import App, PsycopgConnector
from procrastinate.tasks import Task
from psycopg import AsyncConnection

from tests.benchmarks.contestants.posts import CONTENT_TYPE

CONNECTIONS = 10
"""Of its pool, where it is not tried with how many it is fastest."""

POLLING_SECONDS = 30.0
"""It listens; looking without having heard anything is only for what went unheard."""


@dataclass(frozen=True, slots=True)
class Queue:
    """An open application and its one task."""

    app: App
    post: Task[[str, dict[str, str]], Coroutine[Any, Any, None], [str, dict[str, str]]]
    """Takes a body and headers."""

    async def work(self, concurrency: int, delete_jobs: Literal["always", "never"], *, wait: bool) -> None:
        """Run jobs: until there is none, or, waiting for more, until cancelled."""
        await self.app.run_worker_async(
            concurrency=concurrency,
            wait=wait,
            delete_jobs=delete_jobs,
            fetch_job_polling_interval=POLLING_SECONDS,
            listen_notify=wait,
            install_signal_handlers=False,
        )


@asynccontextmanager
async def opened(url: str, to: str, connections: int, concurrency: int) -> AsyncIterator[Queue]:
    """On a database that has its schema. `to` is where its task posts."""
    connector = PsycopgConnector(
        conninfo=url, min_size=connections, max_size=connections, configure=_commit_each_statement
    )
    app = App(connector=connector)
    client = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=client, headers=CONTENT_TYPE) as session:

        @app.task(name="post")
        async def post(body: str, headers: dict[str, str]) -> None:
            async with session.post(to, data=body.encode(), headers=headers) as response:
                await response.read()
                response.raise_for_status()

        async with app.open_async():
            yield Queue(app, post)


async def _commit_each_statement(connection: AsyncConnection) -> None:
    await connection.set_autocommit(True)


async def create_schema(url: str) -> None:
    async with App(connector=PsycopgConnector(conninfo=url)).open_async() as app:
        await app.schema_manager.apply_schema_async()
