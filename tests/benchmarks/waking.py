"""How soon an idle worker attempts an alert accepted on another host. Alerts are sent one by one.

Every idle worker is notified of each alert and tries to claim it. All workers share one process, so they
delay each other more than separate hosts would.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from statistics import median, quantiles

from certctl_mcp.delivery.attempt import Delivery
from certctl_mcp.delivery.retry_loop import RetryLoop
from storage.database import Database
from storage.models import NewNotification, Notification, Room
from storage.repository import NotificationRepository
from tests.benchmarks.comparison import Comparison, Target
from tests.benchmarks.durable_server import database, serving
from tests.benchmarks.rounds import Turn, by_figure, take_turns
from tests.benchmarks.scale import Scale
from tests.benchmarks.workspace import Workspace
from tests.builders import RETRY_POLICY

WORKERS = (1, 16)

SEND_TIMEOUT = timedelta(seconds=30)
LEASE = SEND_TIMEOUT + timedelta(seconds=15)
NEVER = timedelta(hours=1)
"""Too long for a worker to find an alert by polling."""

ALERT = NewNotification(type="ExpirationWarning", channel="Webhook", recipient="on-call", message="expires")


class _TimedNotifier:
    """Records when each send began."""

    def __init__(self) -> None:
        self.sends: asyncio.Queue[float] = asyncio.Queue()

    async def send(self, _notification: Notification) -> None:
        self.sends.put_nowait(time.perf_counter())

    async def aclose(self) -> None:
        """There is nothing to close."""


def run(scale: Scale, _workspace: Workspace) -> list[Comparison]:
    alerts = max(scale.arrivals // 4, 2)
    with serving() as server:

        def turn(workers: int) -> dict[str, float]:
            with database(server) as url:
                waits = asyncio.run(_latencies(url, workers, alerts))
            return {"median": median(waits) * 1000, "p99": quantiles(waits, n=100)[98] * 1000}

        contestants: dict[str, Turn] = {f"{n} idle": partial(turn, n) for n in WORKERS}
        figures = by_figure(take_turns(contestants, scale.rounds))
    title = "Accept on another host to attempt:"
    target = Target(f"{WORKERS[0]} idle", "at most", 100)
    return [
        Comparison(f"{title} median", "ms", figures["median"], [target]),
        Comparison(f"{title} p99", "ms", figures["p99"], [target]),
    ]


async def _latencies(url: str, workers: int, alerts: int) -> list[float]:
    """Seconds from the end of each accept to the beginning of its attempt."""
    notifier, waits = _TimedNotifier(), []
    async with Database.open(url) as elsewhere, AsyncExitStack() as running:
        for number in range(workers):
            here = await running.enter_async_context(Database.open(url))
            await here.changes.due.wait_beyond(0)
            loop = await running.enter_async_context(_loop(here, notifier, f"worker-{number}"))
            tasks = await running.enter_async_context(asyncio.TaskGroup())
            tasks.create_task(loop.run())
            running.callback(loop.stop)
        repository = NotificationRepository(elsewhere)
        for _ in range(alerts + 1):
            await asyncio.sleep(0.1)
            await repository.accept(ALERT)
            accepted = time.perf_counter()
            waits.append(await notifier.sends.get() - accepted)
    # The first alert pays for first-time imports and connections.
    return waits[1:]


def _loop(here: Database, notifier: _TimedNotifier, worker: str) -> RetryLoop:
    async def find(_channel: str) -> _TimedNotifier:
        return notifier

    repository = NotificationRepository(here)
    delivery = Delivery(repository, find, RETRY_POLICY, send_timeout=SEND_TIMEOUT, clock=here.clock)
    return RetryLoop(
        repository,
        here.changes.due,
        delivery,
        worker=worker,
        lease=LEASE,
        interval=NEVER,
        concurrency=50,
        room=Room(10),
        channels=("Webhook",),
        grace=timedelta(seconds=1),
        clock=here.clock,
    )
