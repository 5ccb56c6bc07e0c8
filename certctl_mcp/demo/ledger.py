"""The receivers' own records of what arrived, on which the proof at the end is based."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request or mail, as its receiver recorded it."""

    receiver: str
    content: str
    """The alert as received. For a mail refused at its envelope, only the recipient's address."""
    answer: str
    """What the receiver did, in words."""
    accepted: bool
    key_name: str = ""
    key: str = ""
    """The idempotency key and its name in the receiver's protocol; empty if there was none."""
    at: float = field(default_factory=time.monotonic)
    """Seconds on the monotonic clock."""


class Ledger:
    """All arrivals in order. `on_arrival` is called for each as it is recorded."""

    def __init__(self, on_arrival: Callable[[Arrival], None]) -> None:
        self._on_arrival = on_arrival
        self._arrivals: list[Arrival] = []

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        return tuple(self._arrivals)

    def write(self, arrival: Arrival) -> None:
        self._arrivals.append(arrival)
        self._on_arrival(arrival)
