"""The receivers of alerts, and what arrives there."""

from collections import Counter, defaultdict
from datetime import timedelta

from tests.certctl.simulation import Simulation

SLOWEST = 25
"""Seconds; a sender waits for 30."""


class RefusedError(Exception):
    """It was answered with an error."""


class Receiver:
    """Takes its time over each message, and refuses some."""

    def __init__(self, simulation: Simulation, *, refuses: float = 0, takes: timedelta | None = None) -> None:
        """`refuses`: the share of messages that it answers with an error. `takes`: how long over each."""
        self._simulation = simulation
        self._takes_always = takes
        self._unrecorded: Counter[tuple[str, str]] = Counter()
        self._forgotten: set[str] = set()
        self.refuses = refuses
        self.senders: defaultdict[str, list[str]] = defaultdict(list)
        """By message: who sent it, for each time that it arrived."""

    async def take(self, sender: str, message: str) -> None:
        """Raises: RefusedError."""
        await self._simulation.sleep(self._takes())
        if self._simulation.random.random() < self.refuses:
            raise RefusedError
        self.senders[message].append(sender)
        self._unrecorded[sender, message] += 1
        # Whoever is killed before the answer reaches him knows of nothing.
        await self._simulation.sleep(self._simulation.random.random())

    def recorded(self, sender: str, message: str) -> None:
        """The sender has written down that it arrived."""
        self._unrecorded[sender, message] -= 1

    def recorded_as_failed(self, message: str) -> None:
        """Somebody has written down that it did not arrive. It may have: certctl's server sends one twice at
        once if its loop comes across it while the call that creates it still sends it."""
        if message in self.senders:
            self._forgotten.add(message)

    @property
    def repeated_by_us(self) -> set[str]:
        """What arrived again, and certctl-mcp sent it, though the record said that it had arrived."""
        unknown = {message for (_, message), times in self._unrecorded.items() if times} | self._forgotten
        return {
            message
            for message, senders in self.senders.items()
            if len(senders) > 1 and "certctl-mcp" in senders and message not in unknown
        }

    def _takes(self) -> float:
        """Most are taken quickly, some take nearly as long as a sender waits."""
        if self._takes_always is not None:
            return self._takes_always.total_seconds()
        return self._simulation.random.random() ** 8 * SLOWEST
