"""The cost of a large history: the same number due among ten thousand and up to ten million rows.

One worker on PostgreSQL. All other rows were sent with one attempt each. The size includes tables and
indexes.
"""

import asyncio
from functools import partial

from tests.benchmarks.comparison import Comparison
from tests.benchmarks.long_histories import long_histories
from tests.benchmarks.postgresql_queues import add_due, size
from tests.benchmarks.receiver import receiving
from tests.benchmarks.rounds import Turn, by_figure, take_turns
from tests.benchmarks.scale import Scale
from tests.benchmarks.shared_queue import empty_queue
from tests.benchmarks.workspace import Workspace


def run(scale: Scale, workspace: Workspace) -> list[Comparison]:
    def turn(url: str, receiver: str) -> dict[str, float]:
        asyncio.run(add_due(url, scale.due))
        return empty_queue(1, url, receiver, scale.due)

    with receiving() as receiver, long_histories(workspace, scale.stored) as urls:
        contestants: dict[str, Turn] = {}
        sizes: dict[str, list[float]] = {}
        for rows, url in urls.items():
            name = f"{rows:,} stored"
            sizes[name] = [asyncio.run(size(url)) / 1e6]
            contestants[name] = partial(turn, url, receiver)
        figures = by_figure(take_turns(contestants, scale.rounds))
    return [
        Comparison("Size", "MB", sizes, []),
        Comparison(f"{scale.due:,} due: delivered", "a second", figures["delivered"], []),
        Comparison(f"{scale.due:,} due: claim, median", "ms", figures["claim median"], []),
        Comparison(f"{scale.due:,} due: claim, p99", "ms", figures["claim p99"], []),
    ]
