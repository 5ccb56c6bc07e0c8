"""The latency of queries of a whole history: ten million notifications on PostgreSQL, one million on SQLite.

Each is one call of the program's repository, in this process, on a database that stays open. On PostgreSQL
every notification has an attempt, all were accepted within a year, and there are figures of past hours and
days. Text searches are also measured there with the optional index of docs/postgresql.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from time import perf_counter

from anyio.from_thread import start_blocking_portal

from certctl_mcp.delivery.figures import KeptFigures
from certctl_mcp.services.periods import Period, timeline_of
from storage.clock import utc_now
from storage.database import Database
from storage.models import NotificationFilter
from storage.repository import NotificationRepository
from tests.benchmarks.comparison import Comparison, Figures, Target
from tests.benchmarks.long_histories import long_histories
from tests.benchmarks.postgresql_queues import DAYS
from tests.benchmarks.rounds import Turn, by_figure, take_turns
from tests.benchmarks.scale import Scale
from tests.benchmarks.sqlite_queues import Life
from tests.benchmarks.workspace import Workspace
from tests.text_index import create_text_index, drop_text_index

MILLISECONDS = 100
"""The limit for each query."""

UNKNOWN = NotificationFilter(text="no message has this text")

Query = Callable[[NotificationRepository], Awaitable[object]]


async def _text_search(repository: NotificationRepository) -> None:
    assert not (await repository.list(UNKNOWN)).items


async def _year(repository: NotificationRepository) -> None:
    now = utc_now()
    await repository.delivery_figures(now - timedelta(days=DAYS), now)


async def _year_over_time(repository: NotificationRepository) -> None:
    now = utc_now()
    await timeline_of(repository, Period(now - timedelta(days=DAYS), now))


async def _keep_figures(url: str) -> None:
    async def no_pause(_seconds: float) -> None:
        pass

    async with Database.open(url) as database:
        await KeptFigures(NotificationRepository(database), sleep=no_pause).keep()


TEXT_SEARCH: Mapping[str, Query] = {"text search, no match": _text_search}
SQLITE: Mapping[str, Query] = {
    **TEXT_SEARCH,
    "count of all": lambda repository: repository.count(NotificationFilter()),
    "count by status": lambda repository: repository.count_by_status(),
    "counts of a summary": lambda repository: repository.queue_counts(),
}
POSTGRESQL: Mapping[str, Query] = {
    **SQLITE,
    "delivery figures of a year": _year,
    "the same over time": _year_over_time,
}


def run(scale: Scale, workspace: Workspace) -> list[Comparison]:
    longest = scale.stored[-1]
    with long_histories(workspace, [longest]) as urls:
        asyncio.run(_keep_figures(urls[longest]))
        on_postgresql = _figures(urls[longest], POSTGRESQL, scale)
        asyncio.run(create_text_index(urls[longest]))
        with_index = _figures(urls[longest], TEXT_SEARCH, scale)
        asyncio.run(drop_text_index(urls[longest]))
    queue = workspace.large_queue(scale.rows, Life.SETTLED)
    on_sqlite = _figures(f"sqlite:///{queue}", SQLITE, scale)
    return [
        Comparison(f"{longest:,} rows on PostgreSQL", "ms", on_postgresql, _targets(POSTGRESQL)),
        Comparison(f"{longest:,} rows, with the index for texts", "ms", with_index, _targets(TEXT_SEARCH)),
        Comparison(f"{scale.rows:,} rows on SQLite", "ms", on_sqlite, _targets(SQLITE)),
    ]


def _figures(url: str, queries: Mapping[str, Query], scale: Scale) -> Figures:
    async def turn(repository: NotificationRepository, query: Query) -> dict[str, float]:
        begun = perf_counter()
        await query(repository)
        return {"took": (perf_counter() - begun) * 1000}

    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Database.open(url)) as database,
    ):
        repository = NotificationRepository(database)
        contestants: dict[str, Turn] = {
            name: partial(portal.call, turn, repository, query) for name, query in queries.items()
        }
        warming_up = 1
        take_turns(contestants, warming_up)
        return by_figure(take_turns(contestants, scale.rounds))["took"]


def _targets(queries: Mapping[str, Query]) -> list[Target]:
    return [Target(name, "below", MILLISECONDS) for name in queries]
