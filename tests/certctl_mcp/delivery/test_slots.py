"""The slot rule for any limits, any channels and any order of starts and ends."""

from collections import Counter
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certctl_mcp.delivery.slots import Slots, startable
from storage.models import Claim, Room
from tests.builders import LEASE, NOON, notification

MANY = 10_000

numbers = count()


def claim(channel: str) -> Claim:
    row = notification(id=f"notif-{next(numbers)}", channel=channel)
    return Claim(row, "worker-1", 1, NOON, NOON + LEASE)


def names(number: int) -> list[str]:
    return [f"channel {index}" for index in range(number)]


def saturate(slots: Slots, channels: list[str], backlog: int = MANY) -> Counter[str]:
    """Claim and start attempts until no more can start; returns the number in flight for each channel."""
    in_flight: Counter[str] = Counter()
    for _ in range(MANY):
        _, room = slots.claimable(MANY)
        for channel in channels:
            for _ in range(min(backlog, room.of(channel))):
                slots.hold(claim(channel))
        started = Counter(held.notification.channel for held in slots.start_ready())
        if not started:
            return in_flight
        in_flight += started
    raise AssertionError("it never ends")


@pytest.mark.parametrize(
    ("hanging", "each", "left"),
    [(1, {10}, 10), (2, {10}, 10), (3, {10}, 10), (4, {10}, 5), (5, {8, 9}, 5), (9, {5}, 3), (49, {1}, 1)],
)
def test_hanging_channels_leave_slots_for_a_working_one(hanging: int, each: set[int], left: int) -> None:
    channels = names(hanging + 1)
    slots = Slots(50, Room(10), channels)
    assert set(saturate(slots, channels[:-1]).values()) == each
    assert saturate(slots, channels[-1:]) == {channels[-1]: left}


def test_with_more_channels_than_slots_each_has_one() -> None:
    channels = names(60)
    slots = Slots(50, Room(10), channels)
    assert saturate(slots, channels[:-1]) == Counter(channels[:-1])
    assert saturate(slots, channels) == Counter(channels[-1:])


def test_a_single_busy_channel_can_use_its_whole_limit() -> None:
    channels = names(10)
    assert saturate(Slots(50, Room(10), channels), channels[:1]) == {channels[0]: 10}


def test_the_only_channel_can_use_all_slots() -> None:
    (channel,) = names(1)
    assert saturate(Slots(50, Room(50), [channel]), [channel]) == {channel: 50}
    assert saturate(Slots(50, Room(10), [channel]), [channel]) == {channel: 10}


def test_a_full_channel_gets_a_suspect_only_if_an_attempt_ended_since_the_last_look() -> None:
    (channel,) = names(1)
    slots = Slots(50, Room(10), [channel])
    saturate(slots, [channel], backlog=1)
    assert slots.claimable_suspects() == (0, Room(0, {channel: 0}))
    waiting = claim(channel)
    slots.hold(waiting)
    # Its slot is taken again at once, but a suspect would be the next to get one.
    assert list(slots.free(claim(channel))) == [waiting]
    assert slots.claimable_suspects() == (1, Room(0, {channel: 1}))
    assert slots.claimable_suspects() == (0, Room(0, {channel: 0}))


@given(
    in_flight=st.integers(0, 1000),
    limit=st.integers(1, 1000),
    free=st.integers(0, 1000),
    idle_others=st.integers(0, 1000),
)
def test_starting_several_at_once_allows_as_many_as_one_by_one(
    in_flight: int, limit: int, free: int, idle_others: int
) -> None:
    started = 0
    while startable(in_flight + started, limit, free - started, idle_others):
        started += 1
    assert startable(in_flight, limit, free, idle_others) == started


@given(
    limit=st.integers(1, 60),
    limits=st.lists(st.integers(1, 12), min_size=1, max_size=70),
    events=st.lists(st.tuples(st.booleans(), st.integers(0, 69), st.integers(1, 30)), max_size=60),
)
def test_an_idle_channel_can_always_start_and_no_limit_is_exceeded(
    limit: int, limits: list[int], events: list[tuple[bool, int, int]]
) -> None:
    channels = names(len(limits))
    own = dict(zip(channels, limits, strict=True))
    slots = Slots(limit, Room(0, own), channels)
    in_flight: Counter[str] = Counter()
    for begins, index, number in events:
        channel = channels[index % len(channels)]
        if begins:
            for _ in range(number):
                slots.hold(claim(channel))
            started = slots.start_ready()
        elif in_flight[channel]:
            in_flight[channel] -= 1
            started = slots.free(claim(channel))
        else:
            continue
        in_flight.update(held.notification.channel for held in started)
        assert in_flight <= Counter(own)
        assert in_flight.total() <= max(limit, len(channels))
        _, room = slots.claimable(MANY)
        for idle in set(channels) - set(+in_flight):
            assert room.of(idle) >= 1


@given(
    limit=st.integers(1, 100),
    number=st.integers(1, 100),
    busy=st.sets(st.integers(0, 99)),
    at_most=st.integers(100, 1000),
)
def test_one_claim_has_room_for_every_channel_that_can_start(
    limit: int, number: int, busy: set[int], at_most: int
) -> None:
    channels = names(number)
    slots = Slots(limit, Room(10), channels)
    saturate(slots, [channels[index] for index in busy if index < number])
    wanted, room = slots.claimable(at_most)
    assert wanted <= at_most
    for channel in channels:
        if room.of(channel):
            # This channel gets something even if everything in the others is older.
            assert sum(room.of(other) for other in channels if other != channel) < wanted
