"""The latency from accept to arrival at the receiver, for alerts sent at a steady rate or one by one.

The worker is another process, as on another host, and must be notified of each alert.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import quantiles

from aiohttp import ClientSession

Accept = Callable[[], Awaitable[str]]
"""Accepts an alert; returns the id with which it arrives."""

IDLE_SECONDS = 0.05
"""The pause between an arrival and the next alert when they are sent one by one."""

WARMING_UP = 20


async def sent_at_rate(accept: Accept, receiver: str, count: int, rate: float) -> dict[str, float]:
    """Latencies in milliseconds. With a rate of 0 each alert is sent after the one before has arrived."""
    async with ClientSession(receiver) as session:
        await _one_by_one(session, accept, WARMING_UP)
        begun = await (
            _steadily(session, accept, count, rate) if rate else _one_by_one(session, accept, count)
        )
        arrived: dict[str, float] = await _get_json(session, "/arrivals")
    took = [arrived[key] - moment for key, moment in begun.items()]
    cuts = quantiles(took, n=100)
    return {"median": cuts[49] * 1000, "p99": cuts[98] * 1000}


async def _steadily(session: ClientSession, accept: Accept, count: int, rate: float) -> dict[str, float]:
    """When each accept began, by id."""
    before = await _get_json(session, "/received")
    begun: dict[str, float] = {}

    async def send() -> None:
        moment = time.monotonic()
        begun[await accept()] = moment

    start = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            # The next one starts on time, however long this accept takes.
            await asyncio.sleep(max(0, start + number / rate - time.monotonic()))
            tasks.create_task(send())
    await _get_json(session, f"/reached/{before + count}")
    return begun


async def _one_by_one(session: ClientSession, accept: Accept, count: int) -> dict[str, float]:
    arrived = await _get_json(session, "/received")
    begun: dict[str, float] = {}
    for number in range(1, count + 1):
        moment = time.monotonic()
        begun[await accept()] = moment
        await _get_json(session, f"/reached/{arrived + number}")
        await asyncio.sleep(IDLE_SECONDS)
    return begun


async def _get_json(session: ClientSession, path: str):  # type: ignore[no-untyped-def]
    async with session.get(path) as answer:
        return await answer.json(content_type=None)
