"""Which attempts can begin now? So many at once in all, and so many in each channel.

More is claimed than has a place, going by how many ended during the last claim: without that places would
wait for the database as often as it works. What is held for a channel takes no place of the others, so that
one that begins to hang stands in nobody's way.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

from storage.models import Claim, Room

CLAIM_AHEAD = 3
"""Times as many as ended during the last claim are held for a channel beyond its free places; when a third of
them is left, more are wanted."""


class Places:
    """The places of one process, and the claims that wait for one."""

    def __init__(self, in_all: int, room: Room) -> None:
        self._in_all = in_all
        self._room = room
        self._taken: Counter[str] = Counter()
        self._waiting: defaultdict[str, deque[Claim]] = defaultdict(deque)
        self._ended: Counter[str] = Counter()
        self._ended_during_claim: Counter[str] = Counter()

    def wanted(self) -> tuple[int, Room]:
        """How many claims are wanted, in all and in each channel."""
        ahead = self._wanted_ahead()
        taken = {
            channel: min(self._taken[channel] + len(waiting), self._room.of(channel)) - ahead[channel]
            for channel, waiting in self._waiting.items()
        }
        return self._free() + ahead.total(), self._room.without(taken)

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """A claim is on its way."""
        self._ended.clear()
        yield
        self._ended_during_claim = self._ended.copy()

    def rest(self) -> None:
        """Nothing is under way: how many ended before says nothing of what comes."""
        self._ended_during_claim.clear()

    def hold(self, claim: Claim) -> None:
        """Until it has a place."""
        self._waiting[claim.notification.channel].append(claim)

    def take(self) -> Iterator[Claim]:
        """The claims that have a place now."""
        for channel in self._waiting:
            yield from self._take_in(channel)

    def leave(self, channel: str) -> Iterator[Claim]:
        """An attempt in the channel has ended. Gives the claims that have a place now."""
        self._taken[channel] -= 1
        self._ended[channel] += 1
        yield from self._take_in(channel)
        if self._free() > 0:
            yield from self.take()

    def take_all(self) -> Iterator[Claim]:
        """Every claim that waits, whether there is a place or not."""
        for channel, waiting in self._waiting.items():
            while waiting:
                self._taken[channel] += 1
                yield waiting.popleft()

    def _take_in(self, channel: str) -> Iterator[Claim]:
        waiting = self._waiting[channel]
        while waiting and self._free() > 0 and self._taken[channel] < self._room.of(channel):
            self._taken[channel] += 1
            yield waiting.popleft()

    def _wanted_ahead(self) -> Counter[str]:
        """How many are wanted in each channel beyond its free places."""
        wanted: Counter[str] = Counter()
        for channel, ended in self._ended_during_claim.items():
            held = len(self._waiting[channel])
            if held <= ended:
                wanted[channel] = CLAIM_AHEAD * min(ended, self._room.of(channel)) - held
        return +wanted

    def _free(self) -> int:
        return self._in_all - self._taken.total()
