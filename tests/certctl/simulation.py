"""A simulation with its own clock: programs run concurrently, one step at a time, in random order.

A simulated hour takes only as long as its database statements.
"""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from tests.builders import SettableClock

Program = Coroutine[Any, Any, None]


class Simulation:
    """One program runs at a time, until it sleeps or ends."""

    def __init__(self, clock: SettableClock, seed: int) -> None:
        self.clock = clock
        self.random = Random(seed)
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None], asyncio.Task[None] | None]] = []
        self._numbers = count()
        self._running: asyncio.Task[None] | None = None
        self._yielded = asyncio.Event()
        self._programs: set[asyncio.Task[None]] = set()

    async def sleep(self, seconds: float) -> None:
        wake = asyncio.get_running_loop().create_future()
        moment = self.clock.now + timedelta(seconds=seconds)
        heappush(self._sleepers, (moment, next(self._numbers), wake, asyncio.current_task()))
        if asyncio.current_task() is self._running:
            self._yielded.set()
        await wake

    def start(self, program: Program) -> "asyncio.Task[None]":
        """Start a program at this moment; it begins when its starter sleeps."""
        task = asyncio.get_running_loop().create_task(self._run(program))
        self._programs.add(task)
        task.add_done_callback(self._ended)
        return task

    async def pass_time(self, duration: timedelta) -> None:
        """Let the programs run for this long. Raises any exception of theirs."""
        end = self.clock.now + duration
        await asyncio.sleep(0)
        while self._sleepers and self._sleepers[0][0] <= end:
            moment, _, wake, self._running = heappop(self._sleepers)
            if wake.done():
                continue
            self.clock.now = max(self.clock.now, moment)
            self._yielded.clear()
            wake.set_result(None)
            await self._yielded.wait()
            if self._running is not None and self._running.done():
                await self._running
            # Let tasks begin or end that it has started or killed.
            await asyncio.sleep(0)
        self.clock.now = end

    async def end(self) -> None:
        for program in self._programs:
            program.cancel()
        await asyncio.gather(*self._programs, return_exceptions=True)

    async def _run(self, program: Program) -> None:
        try:
            await self.sleep(0)
            await program
        except asyncio.CancelledError:
            program.close()

    def _ended(self, program: "asyncio.Task[None]") -> None:
        self._programs.discard(program)
        if program is self._running:
            self._yielded.set()
