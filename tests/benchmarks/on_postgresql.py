"""Throughput and latency on PostgreSQL, compared with procrastinate.

Both run on one fully durable server with their asynchronous connectors, and 50 concurrent posts in one
process. The backlog is measured from the moment when all is accepted until all is recorded as done.
procrastinate accepts it in batches; its best number of connections, and whether to delete finished jobs, are
determined first. For latency, one process sends alerts and another delivers them, timed from the start of the
accept to the arrival: at a steady rate, and one by one to an idle worker.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from tests.benchmarks.comparison import Comparison, Target
from tests.benchmarks.durable_server import database, serving
from tests.benchmarks.receiver import receiving
from tests.benchmarks.rounds import Turn, by_figure, in_fresh_process, take_turns
from tests.benchmarks.scale import Scale
from tests.benchmarks.servers import Command
from tests.benchmarks.workspace import ROOT, Workspace
from tests.postgresql import Server

CONCURRENCY = 50
OURS, THEIRS = "ours", "procrastinate"

Worker = Callable[[str, str], AbstractContextManager[None]]


def run(scale: Scale, _workspace: Workspace) -> list[Comparison]:
    with serving() as server, receiving() as receiver:
        return [*_backlog(scale, server, receiver), *_latency(scale, server, receiver)]


def _backlog(scale: Scale, server: Server, receiver: str) -> list[Comparison]:
    few = max(1, scale.deliveries // 10)

    def turn(program: str, count: int, *settings: object) -> dict[str, float]:
        with database(server) as url:
            return in_fresh_process(program, url, receiver, count, CONCURRENCY, *settings)

    theirs: dict[str, Turn] = {
        f"{THEIRS}, {pool} connections, {kept}": partial(turn, "procrastinate_deliveries", few, pool, delete)
        for pool in scale.pools
        for kept, delete in (("kept", "never"), ("deleted", "always"))
    }
    heat = by_figure(take_turns(theirs, 1))["delivered"]
    best = max(heat, key=lambda contestant: heat[contestant][0])
    contestants: dict[str, Turn] = {
        OURS: partial(turn, "our_deliveries", scale.deliveries // 2),
        best: theirs[best],
    }
    figures = by_figure(take_turns(contestants, scale.rounds))
    return [
        Comparison("procrastinate's settings", "deliveries a second", heat, []),
        Comparison(
            "Delivered", "deliveries a second", figures["delivered"], [Target(OURS, "at least", 10, best)]
        ),
        Comparison("Accepted and delivered", "a second", figures["accepted and delivered"], []),
        Comparison("Processor time", "us for each delivery", figures["processor time"], []),
    ]


def _latency(scale: Scale, server: Server, receiver: str) -> list[Comparison]:
    workers: dict[str, tuple[Worker, str]] = {
        OURS: (_our_worker, "our_sender"),
        THEIRS: (_their_worker, "procrastinate_sender"),
    }

    def turn(contestant: str, count: int, rate: float) -> dict[str, float]:
        worker, sender = workers[contestant]
        with database(server) as url, worker(url, receiver):
            return in_fresh_process(sender, url, receiver, count, rate)

    comparisons = []
    for rate in (*scale.rates, 0):
        count = scale.arrivals if rate else scale.arrivals // 4
        contestants = {contestant: partial(turn, contestant, count, rate) for contestant in workers}
        figures = by_figure(take_turns(contestants, scale.rounds))
        at = f"{rate} a second" if rate else "one by one"
        comparisons += [
            Comparison(
                f"Accept to arrival, {at}, {name}", "ms", values, [Target(OURS, "at most", 0.67, THEIRS)]
            )
            for name, values in figures.items()
        ]
    return comparisons


@contextmanager
def _our_worker(url: str, receiver: str) -> Iterator[None]:
    settings = {
        "CERTCTL_DATABASE_URL": url,
        "CERTCTL_WEBHOOK_URL": f"{receiver}/timed",
        "CERTCTL_NOTIFICATION_CONCURRENCY": str(CONCURRENCY),
        "CERTCTL_NOTIFICATION_CHANNEL_CONCURRENCY": str(CONCURRENCY),
        "CERTCTL_LOG_LEVEL": "error",
    }
    command = Command(["-m", "certctl_mcp", "worker"], settings)
    with _until_terminated([sys.executable, *command.arguments], command.whole_environment):
        yield


@contextmanager
def _their_worker(url: str, receiver: str) -> Iterator[None]:
    program = "tests.benchmarks.contestants.procrastinate_worker"
    arguments = [sys.executable, "-m", program, url, receiver, str(CONCURRENCY)]
    with _until_terminated(arguments, dict(os.environ)) as process:
        # Wait until it has created the schema, which sending needs. Ours is created by the first process.
        assert process.stdout
        process.stdout.readline()
        yield


@contextmanager
def _until_terminated(arguments: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.terminate()
