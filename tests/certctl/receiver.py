"""A receiver of alerts that records what arrives."""

from collections import Counter, defaultdict
from datetime import timedelta

from tests.certctl.simulation import Simulation

SLOWEST = 25
"""Seconds; a sender waits for 30."""


class RefusedError(Exception):
    """The receiver responded with an error."""


class Receiver:
    """Takes some time for each message, and refuses some."""

    def __init__(self, simulation: Simulation, *, refuses: float = 0, takes: timedelta | None = None) -> None:
        """`refuses`: the share of messages that it refuses. `takes`: how long it takes for each."""
        self._simulation = simulation
        self._takes_always = takes
        self._unrecorded: Counter[tuple[str, str]] = Counter()
        self._forgotten: set[str] = set()
        self.refuses = refuses
        self.senders: defaultdict[str, list[str]] = defaultdict(list)
        """The senders of each message, one for each time that it arrived."""

    async def take(self, sender: str, message: str) -> None:
        """Raises: RefusedError."""
        await self._simulation.sleep(self._takes())
        if self._simulation.random.random() < self.refuses:
            raise RefusedError
        self.senders[message].append(sender)
        self._unrecorded[sender, message] += 1
        # A sender that is killed before it gets the response doesn't know that the message arrived.
        await self._simulation.sleep(self._simulation.random.random())

    def recorded(self, sender: str, message: str) -> None:
        """The sender has recorded that the message arrived."""
        self._unrecorded[sender, message] -= 1

    def recorded_as_failed(self, message: str) -> None:
        """A sender has recorded that the message did not arrive. It may have: certctl's server sends an alert
        twice if its loop finds it while the call that created it is still sending it."""
        if message in self.senders:
            self._forgotten.add(message)

    @property
    def repeated_by_us(self) -> set[str]:
        """Messages that certctl-mcp sent although they were recorded as arrived."""
        unknown = {message for (_, message), times in self._unrecorded.items() if times} | self._forgotten
        return {
            message
            for message, senders in self.senders.items()
            if len(senders) > 1 and "certctl-mcp" in senders and message not in unknown
        }

    def _takes(self) -> float:
        """Most take little time, some nearly as long as a sender waits."""
        if self._takes_always is not None:
            return self._takes_always.total_seconds()
        return self._simulation.random.random() ** 8 * SLOWEST
