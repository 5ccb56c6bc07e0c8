"""One of several workers that empty a queue together. It prints when it is ready, and waits for a line
on stdin to begin.

Arguments: the database's URL, the receiver's URL, concurrency. Measures the number of deliveries and the time
of each claim that returned something.
"""

import asyncio
import json
import sys
import time
from datetime import timedelta
from statistics import quantiles

from certctl_mcp.config.settings import load_settings
from certctl_mcp.runtime.application import open_application
from certctl_mcp.runtime.event_loop import run
from certctl_mcp.runtime.gc_tuning import freeze_startup_objects, tune_for_startup
from storage.operations.claim_request import ClaimRequest, Claims
from storage.repository import NotificationRepository

AT_MOST = timedelta(minutes=10)


def time_claims() -> list[float]:
    """A list to which the seconds of each later claim are added."""
    took: list[float] = []
    claim = NotificationRepository.claim

    async def timed(repository: NotificationRepository, request: ClaimRequest) -> Claims:
        begun = time.perf_counter()
        found = await claim(repository, request)
        if found.claims:
            took.append(time.perf_counter() - begun)
        return found

    NotificationRepository.claim = timed  # type: ignore[method-assign,assignment]
    return took


async def share(environment: dict[str, str]) -> dict[str, float]:
    async with open_application(load_settings(None, environment)) as application:
        freeze_startup_objects()
        took = time_claims()
        # Everything that the first sweep needs is ready before that line.
        await application.retry_loop.sweep(0, AT_MOST)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        delivered = 0
        while report := (await application.retry_loop.sweep(1_000_000, AT_MOST)).sent:
            delivered += report
    cuts = quantiles(took, n=100) if len(took) > 1 else [0.0] * 99
    return {"delivered": delivered, "claim median": cuts[49] * 1000, "claim p99": cuts[98] * 1000}


if __name__ == "__main__":
    tune_for_startup()
    database, receiver, concurrency = sys.argv[1:]
    configured = {
        "CERTCTL_DATABASE_URL": database,
        "CERTCTL_WEBHOOK_URL": f"{receiver}/hook",
        "CERTCTL_NOTIFICATION_CONCURRENCY": concurrency,
        "CERTCTL_NOTIFICATION_CHANNEL_CONCURRENCY": concurrency,
    }
    print(json.dumps(run(share, configured)))
