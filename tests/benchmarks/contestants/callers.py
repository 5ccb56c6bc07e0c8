"""Throughput and latency of concurrent callers, each of which accepts one alert after another."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import quantiles


async def accepts_by(
    callers: int, seconds: float, accept: Callable[[], Awaitable[object]]
) -> dict[str, float]:
    """Accepts a second, and their 99th percentile in milliseconds."""
    took: list[float] = []
    begun = time.perf_counter()

    async def keep_accepting() -> None:
        while (asked := time.perf_counter()) < begun + seconds:
            await accept()
            took.append(time.perf_counter() - asked)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(callers):
            tasks.create_task(keep_accepting())
    elapsed = time.perf_counter() - begun
    return {"rate": len(took) / elapsed, "p99": quantiles(took, n=100)[98] * 1000}
