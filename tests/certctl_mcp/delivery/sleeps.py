"""Sleeps that take no time, for what a process repeats in the background."""

import anyio


class Sleeps:
    """Records each sleep, and ends the run after the given number of them."""

    def __init__(self, most: int = 100) -> None:
        self.seconds: list[float] = []
        self._most = most

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if len(self.seconds) >= self._most:
            raise anyio.get_cancelled_exc_class()
