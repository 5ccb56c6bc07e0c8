"""How long is the way from accepting to the receiver? Alerts are sent at a steady rate, or one by one.

The worker is another process, as on another host: it must hear of each.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import quantiles

from aiohttp import ClientSession

Accept = Callable[[], Awaitable[str]]
"""Accepts an alert; gives the id under which it arrives."""

IDLE_SECONDS = 0.05
"""Between one arrival and the next alert, where they are sent one by one."""

WARMING_UP = 20


async def sent_at_rate(accept: Accept, receiver: str, count: int, rate: float) -> dict[str, float]:
    """Latencies in milliseconds. With a rate of 0 each alert is sent after the one before has arrived."""
    async with ClientSession(receiver) as session:
        await _one_by_one(session, accept, WARMING_UP)
        begun = await (
            _steadily(session, accept, count, rate) if rate else _one_by_one(session, accept, count)
        )
        arrived: dict[str, float] = await _asked(session, "/arrivals")
    took = [arrived[key] - moment for key, moment in begun.items()]
    cuts = quantiles(took, n=100)
    return {"median": cuts[49] * 1000, "p99": cuts[98] * 1000}


async def _steadily(session: ClientSession, accept: Accept, count: int, rate: float) -> dict[str, float]:
    """By id, when its accepting began."""
    before = await _asked(session, "/received")
    begun: dict[str, float] = {}

    async def send() -> None:
        moment = time.monotonic()
        begun[await accept()] = moment

    start = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            # However long accepting takes, the next is due at its own time.
            await asyncio.sleep(max(0, start + number / rate - time.monotonic()))
            tasks.create_task(send())
    await _asked(session, f"/reached/{before + count}")
    return begun


async def _one_by_one(session: ClientSession, accept: Accept, count: int) -> dict[str, float]:
    arrived = await _asked(session, "/received")
    begun: dict[str, float] = {}
    for number in range(1, count + 1):
        moment = time.monotonic()
        begun[await accept()] = moment
        await _asked(session, f"/reached/{arrived + number}")
        await asyncio.sleep(IDLE_SECONDS)
    return begun


async def _asked(session: ClientSession, path: str):  # type: ignore[no-untyped-def]
    async with session.get(path) as answer:
        return await answer.json(content_type=None)
