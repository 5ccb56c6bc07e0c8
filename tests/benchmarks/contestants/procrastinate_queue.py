"""procrastinate on PostgreSQL, with its own asynchronous connector and one task: post a body to a URL.

Its worker takes jobs one by one, each in a transaction. With autocommit that is one statement instead of
three, the fastest mode of its connector.
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
"""The size of its pool, where the best size is not measured."""

POLLING_SECONDS = 30.0
"""It listens for notifications; polling is only a fallback for missed ones."""


@dataclass(frozen=True, slots=True)
class Queue:
    """An open application and its one task."""

    app: App
    post: Task[[str, dict[str, str]], Coroutine[Any, Any, None], [str, dict[str, str]]]
    """The task, with a body and headers as arguments."""

    async def work(self, concurrency: int, delete_jobs: Literal["always", "never"], *, wait: bool) -> None:
        """Run jobs until there are none, or with `wait` until cancelled."""
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
    """Open the queue on a database with its schema. `to` is the URL that its task posts to."""
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
