"""Simulated time: as soon as retry loops have nothing to do but wait, the clock advances."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial

import anyio

from certctl_mcp.delivery.retry_loop import RetryLoop, Waiter
from tests.builders import SettableClock
from tests.certctl_mcp.fake_notifiers import PATIENCE


class SimulatedTime:
    """Ends a wait of its loop at once if no attempt is in flight, and stops it when the time is over."""

    def __init__(self, clock: SettableClock, lasts: timedelta) -> None:
        self.waits: list[timedelta] = []
        self._clock = clock
        self._end = clock.now + lasts

    async def pass_for(self, loop: RetryLoop) -> None:
        """Run the loop, which must have been built with `wait`, until the time is over."""
        self._loop = loop
        async with loop:
            await loop.run()

    async def wait(self, wake: asyncio.Event, longest: timedelta) -> None:
        await self._loop.wait_for_completion(PATIENCE)
        if not wake.is_set():
            self.waits.append(longest)
            self._clock.advance(longest)
            if self._clock.now >= self._end:
                self._loop.stop()


class SharedSimulatedTime:
    """Advances the clock of several loops as soon as all of them are waiting."""

    def __init__(
        self, clock: SettableClock, loops: int, enough: Callable[[], bool], lasts: timedelta
    ) -> None:
        """The loops stop when `enough` returns true or the time is over."""
        self._clock = clock
        self._number = loops
        self._enough = enough
        self._end = clock.now + lasts
        self._idle: dict[int, tuple[asyncio.Event, datetime]] = {}
        self._loops: list[RetryLoop] = []
        self._tick = asyncio.Event()

    async def pass_for(self, make: Callable[[int, Waiter], RetryLoop]) -> None:
        async with AsyncExitStack() as stack:
            for number in range(self._number):
                loop = make(number, partial(self._wait, number))
                self._loops.append(await stack.enter_async_context(loop))
            async with anyio.create_task_group() as tasks:
                for loop in self._loops:
                    tasks.start_soon(loop.run)

    async def _wait(self, number: int, wake: asyncio.Event, longest: timedelta) -> None:
        await self._loops[number].wait_for_completion(PATIENCE)
        deadline = self._clock.now + longest
        while not wake.is_set() and self._clock.now < deadline:
            self._idle[number] = (wake, deadline)
            if self._all_idle():
                # Meanwhile a loop may notice what another one has committed.
                await asyncio.sleep(0.001)
                if self._all_idle():
                    self._advance()
            else:
                tick = asyncio.ensure_future(self._tick.wait())
                woken = asyncio.ensure_future(wake.wait())
                await asyncio.wait((tick, woken), return_when=asyncio.FIRST_COMPLETED)
                tick.cancel()
                woken.cancel()
        self._idle.pop(number, None)

    def _all_idle(self) -> bool:
        return len(self._idle) == self._number and not any(wake.is_set() for wake, _ in self._idle.values())

    def _advance(self) -> None:
        self._clock.now = min(deadline for _, deadline in self._idle.values())
        if self._enough() or self._clock.now >= self._end:
            for loop in self._loops:
                loop.stop()
        self._tick.set()
        self._tick = asyncio.Event()
