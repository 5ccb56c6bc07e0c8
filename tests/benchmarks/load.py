"""The HTTP server under load: two hundred clients, while alerts are accepted and delivered.

Each client reads pages of dead letters and requeues one from every tenth page, while alerts are created at a
steady rate and delivered. Any error ends the benchmark except a conflict, which means that another client was
faster. In the end every alert must have been delivered.
"""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from statistics import quantiles

from aiohttp import ClientSession, TCPConnector

from tests.benchmarks.comparison import Comparison, Target
from tests.benchmarks.receiver import receiving
from tests.benchmarks.scale import Scale
from tests.benchmarks.servers import Command, ours
from tests.benchmarks.sqlite_queues import Life
from tests.benchmarks.workspace import Workspace

KEY = "key-of-the-benchmark"
PAGE = 50
REQUEUE_ONE_IN = 10
ALERT = {"type": "LoadTest", "channel": "Webhook", "message": "api.example.com expires in 7 days"}
LISTS = "GET /api/v1/notifications"
REQUEUES = "POST .../requeue"
CREATES = "POST /api/v1/notifications"
PATIENCE = 60
KEPT_ALIVE = 20
"""The keep-alive connections for which there is a target."""


@dataclass
class Measured:
    """Seconds that each request took, by kind of request."""

    took: dict[str, list[float]] = field(default_factory=lambda: {LISTS: [], REQUEUES: [], CREATES: []})
    conflicts: int = 0

    async def request(
        self, session: ClientSession, kind: str, method: str, path: str, body: dict[str, str] | None = None
    ) -> dict[str, object]:
        begun = time.perf_counter()
        async with session.request(method, path, json=body) as answer:
            found: dict[str, object] = await answer.json()
        self.took[kind].append(time.perf_counter() - begun)
        if kind is REQUEUES and answer.status == 409:
            self.conflicts += 1
        elif answer.status not in (200, 201):
            raise RuntimeError(f"{method} {path}: {answer.status} {found}")
        return found


def run(scale: Scale, workspace: Workspace) -> list[Comparison]:
    queue = workspace.large_queue(scale.rows // 10, Life.SETTLED)
    with receiving() as receiver:
        command = ours(queue)
        environment = {
            **command.environment,
            "CERTCTL_WEBHOOK_URL": f"{receiver}/hook",
            "CERTCTL_API_KEYS_NAMED": f"benchmark:{KEY}:admin",
            "CERTCTL_RATE_LIMIT_ENABLED": "false",
        }
        with _serving(Command([*command.arguments, "serve", "--http", "--port", "0"], environment)) as url:
            kept_alive = asyncio.run(_kept_alive(url, scale))
            measured, seconds = asyncio.run(_load(url, scale))
    requests = {kind: [len(took) / seconds] for kind, took in measured.took.items()}
    p50 = {kind: [_percentile(took, 50)] for kind, took in measured.took.items()}
    p99 = {kind: [_percentile(took, 99)] for kind, took in measured.took.items()}
    target = Target(f"list, {KEPT_ALIVE} clients", "at least", 1000)
    title = f"{scale.load_clients} clients for {seconds:.0f} s, {measured.conflicts} conflicts:"
    return [
        Comparison(f"{title} requests", "a second", requests, []),
        Comparison(f"{title} median", "ms", p50, []),
        Comparison(f"{title} 99th percentile", "ms", p99, []),
        Comparison("keep-alive connections without pauses", "requests a second", kept_alive, [target]),
    ]


async def _kept_alive(url: str, scale: Scale) -> dict[str, list[float]]:
    """As `wrk` measures: each client sends its next request as soon as it has a response."""
    found: dict[str, list[float]] = {}
    for clients in scale.kept_alive:
        for kind, path in (("health", "/health"), ("list", f"/api/v1/notifications?per_page={PAGE}")):
            async with _session(url, clients) as session:
                ends = time.monotonic() + scale.kept_alive_seconds
                counts = await asyncio.gather(*(_request_until(session, path, ends) for _ in range(clients)))
            found[f"{kind}, {clients} clients"] = [sum(counts) / scale.kept_alive_seconds]
    return found


async def _request_until(session: ClientSession, path: str, ends: float) -> int:
    count = 0
    while time.monotonic() < ends:
        async with session.get(path) as answer:
            await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status}")
        count += 1
    return count


async def _load(url: str, scale: Scale) -> tuple[Measured, float]:
    measured = Measured()
    async with _session(url, scale.load_clients + 50) as session:
        begun = time.monotonic()
        ends = begun + scale.load_seconds
        async with asyncio.TaskGroup() as tasks:
            for number in range(scale.load_clients):
                tasks.create_task(_client(session, measured, ends, random.Random(number)))
            created = tasks.create_task(_create(session, measured, ends, scale.load_alerts_a_minute))
        seconds = time.monotonic() - begun
        await _wait_until_delivered(session, created.result())
    return measured, seconds


async def _client(session: ClientSession, measured: Measured, ends: float, chance: random.Random) -> None:
    # So that they don't all start at the same moment.
    await asyncio.sleep(chance.random())
    while time.monotonic() < ends:
        page = await measured.request(
            session, LISTS, "GET", f"/api/v1/notifications?status=dead&per_page={PAGE}"
        )
        rows = page["data"]
        assert isinstance(rows, list)
        if rows and chance.randrange(REQUEUE_ONE_IN) == 0:
            path = f"/api/v1/notifications/{chance.choice(rows)['id']}/requeue"
            await measured.request(session, REQUEUES, "POST", path)
        await asyncio.sleep(1)


async def _create(session: ClientSession, measured: Measured, ends: float, a_minute: int) -> int:
    """Create alerts at a steady rate, however long a response takes."""
    created, begun = 0, time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        while time.monotonic() < ends:
            tasks.create_task(measured.request(session, CREATES, "POST", "/api/v1/notifications", ALERT))
            created += 1
            await asyncio.sleep(max(0, begun + created * 60 / a_minute - time.monotonic()))
    return created


async def _wait_until_delivered(session: ClientSession, created: int) -> None:
    measured, ends = Measured(), time.monotonic() + PATIENCE
    path = "/api/v1/notifications?type=LoadTest&status=sent&per_page=1"
    while (delivered := (await measured.request(session, LISTS, "GET", path))["total"]) != created:
        if time.monotonic() > ends:
            raise RuntimeError(f"{delivered} of {created} alerts were delivered")
        await asyncio.sleep(0.2)


@asynccontextmanager
async def _session(url: str, connections: int) -> AsyncIterator[ClientSession]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with ClientSession(url, headers=headers, connector=TCPConnector(limit=connections)) as session:
        yield session


@contextmanager
def _serving(command: Command) -> Iterator[str]:
    """The URL of a server that is stopped when the context is left."""
    with subprocess.Popen(
        [sys.executable, *command.arguments],
        env=command.whole_environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        url = next(
            line.split("serving on ")[1].split(",")[0] for line in process.stderr if "serving on" in line
        )
        draining = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        try:
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
            draining.wait()


def _percentile(took: list[float], percent: int) -> float:
    if len(took) < 2:
        return took[0] * 1e3 if took else 0.0
    return quantiles(took, n=100)[percent - 1] * 1e3
