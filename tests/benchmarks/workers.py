"""The gain from more workers on one PostgreSQL: one, two and four processes empty a queue together.

All share one machine with the server and the receiver. On two processors, four workers show the cost of
contention rather than the throughput of four machines.
"""

import asyncio
from functools import partial

from tests.benchmarks.comparison import Comparison
from tests.benchmarks.durable_server import database, serving
from tests.benchmarks.postgresql_queues import add_due, fill
from tests.benchmarks.receiver import receiving
from tests.benchmarks.rounds import Turn, by_figure, take_turns
from tests.benchmarks.scale import Scale
from tests.benchmarks.shared_queue import CONCURRENCY, empty_queue
from tests.benchmarks.workspace import Workspace


def run(scale: Scale, _workspace: Workspace) -> list[Comparison]:
    due = scale.deliveries // 2
    with serving() as server, receiving() as receiver:

        def turn(workers: int) -> dict[str, float]:
            with database(server) as url:
                asyncio.run(fill(url, scale.due))
                asyncio.run(add_due(url, due))
                return empty_queue(workers, url, receiver, due)

        contestants: dict[str, Turn] = {f"{n} workers": partial(turn, n) for n in scale.workers}
        figures = by_figure(take_turns(contestants, scale.rounds))
    title = f"{due:,} due, {CONCURRENCY} at once a worker:"
    return [
        Comparison(f"{title} delivered", "a second", figures["delivered"], []),
        Comparison(f"{title} claim, median", "ms", figures["claim median"], []),
        Comparison(f"{title} claim, p99 of the slowest", "ms", figures["claim p99"], []),
        Comparison("Smallest share", "% of an equal one", figures["smallest share"], []),
    ]
