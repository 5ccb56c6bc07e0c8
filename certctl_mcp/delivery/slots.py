"""The slots of one process: which claimed attempts can start now, within the overall and per-channel limits.

The rule keeps hanging channels from delaying the others. Every channel has one slot that no other can take.
It takes further slots, up to its own limit, only while it holds fewer than would remain free once every idle
channel had taken its first. So no matter how many channels hang, a working one can start an attempt at once.

More is claimed than there are free slots, depending on how many attempts ended during the last claim.
Otherwise slots would often be idle while waiting for the database. Claims held for a channel take no slot
from the others.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from certctl_mcp.delivery.suspects import MAX_PROCESSES, is_suspect
from storage.models import Claim, Room

CLAIM_AHEAD = 3
"""A channel holds up to this many times as many claims beyond its free slots as ended during the last claim.
More are claimed when a third of them is left."""


def startable(in_flight: int, limit: int, free: int, idle_others: int) -> int:
    """How many more attempts a channel can start if no other channel starts any.

    `in_flight` are its own attempts and `limit` is the most that it may have. `free` is the number of free
    slots in all, and `idle_others` how many other channels have nothing in flight.
    """
    if free <= 0:
        return 0
    # Each start adds one to what the channel holds and takes one from what is free, so they meet halfway.
    fair = -((in_flight + idle_others - free) // 2)
    guaranteed = 1 if in_flight == 0 else 0
    return max(0, min(max(fair, guaranteed), limit - in_flight))


class Slots:
    """The slots, and the claims that wait for one."""

    def __init__(self, limit: int, room: Room, channels: Collection[str]) -> None:
        """`limit`: the most attempts in flight overall, at least one for each of `channels`. `room`: the most
        in each channel."""
        self._limit = max(limit, len(channels))
        self._room = room
        self._channels = frozenset(channels)
        self._in_flight: Counter[str] = Counter()
        self._in_all = 0
        self._waiting: defaultdict[str, deque[Claim]] = defaultdict(deque)
        self._suspects: set[str] = set()
        self._moving: set[str] = set()
        self._ended: Counter[str] = Counter()
        self._ended_during_claim: Counter[str] = Counter()

    def claimable(self, limit: int) -> tuple[int, Room]:
        """How many notifications to claim, at most `limit` in total, and how many in each channel."""
        ahead = self._claimable_ahead()
        room = {
            channel: max(0, self._startable(channel) - len(self._waiting[channel]) + ahead[channel])
            for channel in self._channels
        }
        wanted = sum(room.values())
        if wanted > limit:
            # A claim takes the oldest notifications overall, but no channel's backlog may crowd out the
            # others.
            share = max(1, limit // len(room))
            room = {channel: min(number, share) for channel, number in room.items()}
        return min(wanted, limit), Room(0, room)

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """While a claim is running, count the attempts that end."""
        self._ended.clear()
        yield
        self._ended_during_claim = self._ended.copy()

    def forget_pace(self) -> None:
        """Forget the rate at which earlier attempts ended. Nothing is in flight, so it doesn't predict the
        next ones."""
        self._ended_during_claim.clear()

    def claimable_suspects(self) -> tuple[int, Room]:
        """How many suspects to claim, in total and in each channel.

        A channel attempts one suspect at a time. A hanging channel gets none, because it would only wait: one
        in which nothing can start, and nothing has ended since the last call.
        """
        moving, self._moving = self._moving, set()
        room = {
            channel: int(channel in moving or self._startable(channel) > 0)
            for channel in self._channels - self._suspects
        }
        return min(sum(room.values()), MAX_PROCESSES - len(self._suspects)), Room(0, room)

    def hold(self, claim: Claim) -> None:
        """Keep a claim until it has a slot."""
        channel = claim.notification.channel
        if is_suspect(claim):
            # Put first, because in a busy channel it would otherwise wait forever.
            self._waiting[channel].appendleft(claim)
            self._suspects.add(channel)
        else:
            self._waiting[channel].append(claim)

    def start_ready(self) -> Iterator[Claim]:
        """Take a slot for each claim that can have one, and return these claims."""
        # In turns, so that the first channel doesn't take slots that the rule gives to others.
        started = True
        while started:
            started = False
            for channel, waiting in self._waiting.items():
                if waiting and self._startable(channel):
                    started = True
                    yield self._start(channel)

    def free(self, claim: Claim) -> Iterator[Claim]:
        """The attempt of this claim has ended. Returns the claims that take a slot now."""
        channel = claim.notification.channel
        if is_suspect(claim):
            self._suspects.discard(channel)
        self._moving.add(channel)
        self._ended[channel] += 1
        self._in_all -= 1
        self._in_flight[channel] -= 1
        if not self._in_flight[channel]:
            del self._in_flight[channel]
        waiting = self._waiting[channel]
        while waiting and self._startable(channel):
            yield self._start(channel)
        yield from self.start_ready()

    def start_all(self) -> Iterator[Claim]:
        """Every waiting claim, regardless of the limits, because all are about to be released."""
        for channel, waiting in self._waiting.items():
            while waiting:
                yield self._start(channel)

    def _start(self, channel: str) -> Claim:
        self._in_flight[channel] += 1
        self._in_all += 1
        return self._waiting[channel].popleft()

    def _startable(self, channel: str) -> int:
        in_flight = self._in_flight.get(channel, 0)
        if self._channels == {channel}:
            # There is no other channel to leave slots to.
            return max(0, min(self._limit - self._in_all, self._room.of(channel) - in_flight))
        idle_others = len(self._channels) - len(self._in_flight) - (in_flight == 0)
        return startable(in_flight, self._room.of(channel), self._limit - self._in_all, idle_others)

    def _claimable_ahead(self) -> Counter[str]:
        """How many to claim in each channel beyond its free slots."""
        ahead: Counter[str] = Counter()
        for channel, ended in self._ended_during_claim.items():
            held = len(self._waiting[channel])
            if held <= ended:
                ahead[channel] = CLAIM_AHEAD * min(ended, self._room.of(channel)) - held
        return +ahead
