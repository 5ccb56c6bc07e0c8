"""The slots of one process: which claimed attempts can start now, within the limits in all and per channel.

More is claimed than there are free slots, depending on how many attempts ended during the last claim: without
that, slots would wait for the database as often as they work. What is held for a channel takes no slot from
the others, so a channel that begins to hang delays no other.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

from storage.models import Claim, Room

CLAIM_AHEAD = 3
"""A channel holds up to this many times as many claims beyond its free slots as ended during the last claim.
More are claimed when a third of them is left."""


class Slots:
    """The slots, and the claims that wait for one."""

    def __init__(self, limit: int, room: Room) -> None:
        """`limit`: attempts in flight at once. `room`: those of each channel."""
        self._limit = limit
        self._room = room
        self._in_flight: Counter[str] = Counter()
        self._waiting: defaultdict[str, deque[Claim]] = defaultdict(deque)
        self._ended: Counter[str] = Counter()
        self._ended_during_claim: Counter[str] = Counter()

    def claimable(self) -> tuple[int, Room]:
        """How many notifications to claim, in all and in each channel."""
        ahead = self._claimable_ahead()
        taken = {
            channel: min(self._in_flight[channel] + len(waiting), self._room.of(channel)) - ahead[channel]
            for channel, waiting in self._waiting.items()
        }
        return self._free() + ahead.total(), self._room.without(taken)

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """A claim is running: count the attempts that end meanwhile."""
        self._ended.clear()
        yield
        self._ended_during_claim = self._ended.copy()

    def forget_pace(self) -> None:
        """Nothing is in flight, so the pace of earlier attempts says nothing about the next ones."""
        self._ended_during_claim.clear()

    def hold(self, claim: Claim) -> None:
        """Keep a claim until it has a slot."""
        self._waiting[claim.notification.channel].append(claim)

    def start_ready(self) -> Iterator[Claim]:
        """Take a slot for each claim that can have one, and return these claims."""
        for channel in self._waiting:
            yield from self._start_in(channel)

    def free(self, channel: str) -> Iterator[Claim]:
        """An attempt in the channel has ended. Returns the claims that take a slot now."""
        self._in_flight[channel] -= 1
        self._ended[channel] += 1
        yield from self._start_in(channel)
        if self._free() > 0:
            yield from self.start_ready()

    def start_all(self) -> Iterator[Claim]:
        """Every waiting claim, whatever the limits: they are about to be given back."""
        for channel, waiting in self._waiting.items():
            while waiting:
                self._in_flight[channel] += 1
                yield waiting.popleft()

    def _start_in(self, channel: str) -> Iterator[Claim]:
        waiting = self._waiting[channel]
        while waiting and self._free() > 0 and self._in_flight[channel] < self._room.of(channel):
            self._in_flight[channel] += 1
            yield waiting.popleft()

    def _claimable_ahead(self) -> Counter[str]:
        """How many to claim in each channel beyond its free slots."""
        ahead: Counter[str] = Counter()
        for channel, ended in self._ended_during_claim.items():
            held = len(self._waiting[channel])
            if held <= ended:
                ahead[channel] = CLAIM_AHEAD * min(ended, self._room.of(channel)) - held
        return +ahead

    def _free(self) -> int:
        return self._limit - self._in_flight.total()
