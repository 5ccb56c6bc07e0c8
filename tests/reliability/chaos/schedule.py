"""Which fault happens when. Everything follows from the seed, so that a run can be repeated."""

import random
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    KILL = "kill"
    """SIGKILL; another process takes its place."""
    STOP = "stop"
    """SIGSTOP for longer than a lease, then SIGCONT."""
    LOCK = "lock"
    """The database is locked for longer than a lease."""
    JUMP = "jump"
    """One process's clock jumps by a day and back."""
    HANG = "hang"
    """A channel's receiver does not answer."""
    CUT = "cut"
    """A channel's receiver hangs up without an answer."""
    BUSY = "busy"
    """A channel's receiver asks the sender to retry later."""


LASTING = {Fault.STOP, Fault.LOCK, Fault.JUMP, Fault.HANG, Fault.CUT, Fault.BUSY}

LEASE = 3.0
SEND_TIMEOUT = 1.0
"""Seconds. A fault lasts up to twice as long as a lease."""


@dataclass(frozen=True, slots=True)
class Event:
    at: float
    """Seconds since the run began."""
    fault: Fault
    target: str
    """The name of a process or channel; unused for a lock."""
    seconds: float
    """How long it lasts."""

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.fault in LASTING else ""
        return f"{self.at:6.1f} s  {self.fault} {self.target}{lasting}"


def schedule(
    seed: int, seconds: float, processes: list[str], channels: list[str], clocks: list[str]
) -> list[Event]:
    """About one fault a second; `clocks` names the processes whose clock can jump."""
    chance = random.Random(f"schedule {seed}")
    targets = {
        Fault.KILL: processes,
        Fault.STOP: processes,
        Fault.LOCK: ["database"],
        Fault.JUMP: clocks,
        Fault.HANG: channels,
        Fault.CUT: channels,
        Fault.BUSY: channels,
    }
    possible = [fault for fault in Fault if targets[fault]]
    events = []
    at = 1.0
    while at < seconds:
        fault = chance.choice(possible)
        lasting = chance.uniform(0.5, 2) * LEASE if fault in LASTING else 0
        events.append(Event(at, fault, chance.choice(targets[fault]), lasting))
        at += chance.uniform(0.4, 1.6)
    return events


class Behaviour(StrEnum):
    """What a receiver does with one request."""

    ACCEPT = "accept"
    LATE = "late"
    """Accepts after most of the send timeout."""
    REFUSE = "refuse"
    GONE = "gone"
    HANG = "hang"
    CUT = "cut"
    BUSY = "busy"


_BY_NATURE = {
    Behaviour.ACCEPT: 70,
    Behaviour.LATE: 8,
    Behaviour.REFUSE: 12,
    Behaviour.GONE: 1,
    Behaviour.HANG: 3,
    Behaviour.CUT: 4,
    Behaviour.BUSY: 2,
}


def behaviour(seed: int, message: str, number: int) -> Behaviour:
    """How a receiver without a fault treats the given request with this message, counted from 1."""
    chance = random.Random(f"behaviour {seed} {message} {number}")
    return chance.choices(list(_BY_NATURE), list(_BY_NATURE.values()))[0]
