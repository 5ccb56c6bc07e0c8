"""Our queue as a worker runs it: accepts alerts durably, then delivers them and records each as sent.

Arguments: the database's URL, the receiver's URL, number of alerts, concurrency.
"""

import asyncio
import json
import sys
import time
from datetime import timedelta

from certctl_mcp.config.settings import load_settings
from certctl_mcp.runtime.application import open_application
from certctl_mcp.runtime.event_loop import run
from certctl_mcp.runtime.gc_tuning import freeze_startup_objects, tune_for_startup
from certctl_mcp.services.notifications import NotificationService
from tests.benchmarks.contestants.posts import ALERT

CALLERS = 50
AT_MOST = timedelta(minutes=10)


async def deliver(environment: dict[str, str], count: int) -> dict[str, float]:
    async with open_application(load_settings(None, environment)) as application:
        freeze_startup_objects()
        # The HTTP client is imported for the first delivery.
        await application.notifications.send(ALERT, actor=None)
        await application.retry_loop.sweep(1, AT_MOST)
        begun = time.perf_counter()
        await _accept(application.notifications, count)
        accepted, worked = time.perf_counter(), time.process_time()
        report = await application.retry_loop.sweep(count, AT_MOST)
        ended = time.perf_counter()
        assert report.sent == count, report
        return {
            "delivered": count / (ended - accepted),
            "accepted and delivered": count / (ended - begun),
            "processor time": (time.process_time() - worked) / count * 1e6,
        }


async def _accept(notifications: NotificationService, count: int) -> None:
    left = count

    async def accept() -> None:
        nonlocal left
        while left:
            left -= 1
            await notifications.send(ALERT, actor=None)

    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(accept())


if __name__ == "__main__":
    tune_for_startup()
    database, receiver, how_many, concurrency = sys.argv[1:]
    configured = {
        "CERTCTL_DATABASE_URL": database,
        "CERTCTL_WEBHOOK_URL": f"{receiver}/hook",
        "CERTCTL_NOTIFICATION_CONCURRENCY": concurrency,
        "CERTCTL_NOTIFICATION_CHANNEL_CONCURRENCY": concurrency,
    }
    print(json.dumps(run(deliver, configured, int(how_many))))
