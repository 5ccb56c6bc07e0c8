"""Durable deliveries a second, compared with HTTP clients alone and with huey.

One process, SQLite with synchronous FULL, a local receiver, 50 concurrent posts. Measured from the moment
when all are accepted until all are recorded as sent. The same posts to the same receiver are sent by aiohttp
and httpx2 without a queue, both on the event loop that our worker uses, which is uvloop's where the platform
has it; and by huey on SQLite with its fastest kind and number of workers, which are determined first. huey
deletes a task when a worker takes it and records no outcome, so it does less.
"""

from functools import partial

from tests.benchmarks.comparison import Comparison, Target
from tests.benchmarks.receiver import receiving
from tests.benchmarks.rounds import Turn, by_figure, in_fresh_process, take_turns
from tests.benchmarks.scale import Scale
from tests.benchmarks.workspace import Workspace

CONCURRENCY = 50
HUEY_WORKERS = (
    ("thread", 1),
    ("thread", 2),
    ("thread", 4),
    ("thread", 16),
    ("process", 1),
    ("process", 2),
    ("process", 4),
)


def run(scale: Scale, workspace: Workspace) -> list[Comparison]:
    few = max(1, scale.deliveries // 4)
    with receiving() as receiver:
        huey = {
            f"huey, {workers} {kind}": partial(_huey, workspace, receiver, few, kind, workers)
            for kind, workers in HUEY_WORKERS
        }
        heat = by_figure(take_turns(huey, 1))["delivered"]
        best = max(heat, key=lambda contestant: heat[contestant][0])
        contestants: dict[str, Turn] = {
            "ours": partial(_ours, workspace, receiver, scale.deliveries),
            "aiohttp": partial(in_fresh_process, "bare_aiohttp", receiver, scale.deliveries, CONCURRENCY),
            "httpx2": partial(in_fresh_process, "bare_httpx2", receiver, few, CONCURRENCY),
            best: huey[best],
        }
        figures = by_figure(take_turns(contestants, scale.rounds))
    targets = [
        Target("ours", "at least", 0.6, "aiohttp"),
        Target("ours", "at least", 3.5, "httpx2"),
        Target("ours", "at least", 4, best),
    ]
    both = [Target("ours", "at least", 4, best)]
    cheap = [Target("ours", "at most", 190)]
    return [
        Comparison("huey's workers", "deliveries a second", heat, []),
        Comparison("Delivered", "deliveries a second", figures["delivered"], targets),
        Comparison("Accepted and delivered", "a second", figures["accepted and delivered"], both),
        Comparison("Processor time", "us for each delivery", figures["processor time"], cheap),
    ]


def _ours(workspace: Workspace, receiver: str, count: int) -> dict[str, float]:
    database = f"sqlite:///{workspace.new_database()}"
    return in_fresh_process("our_deliveries", database, receiver, count, CONCURRENCY)


def _huey(workspace: Workspace, receiver: str, count: int, kind: str, workers: int) -> dict[str, float]:
    return in_fresh_process("huey_deliveries", workspace.new_database(), receiver, count, kind, workers)
