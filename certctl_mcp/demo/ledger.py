"""What arrived, by the receivers' own records? The evidence that the proof at the end rests on."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request or mail as the receiver that got it wrote it down."""

    receiver: str
    content: str
    """What could be read of the alert; of a mail refused at its envelope, the recipient's address alone."""
    answer: str
    """What the receiver did, in words."""
    accepted: bool
    key_name: str = ""
    key: str = ""
    """The idempotency key, and what it is called in this receiver's protocol; empty where none came along."""
    at: float = field(default_factory=time.monotonic)
    """Seconds on the monotonic clock."""


class Ledger:
    """Every arrival in its order. `told` hears of each as it is written down."""

    def __init__(self, told: Callable[[Arrival], None]) -> None:
        self._told = told
        self._arrivals: list[Arrival] = []

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        return tuple(self._arrivals)

    def write(self, arrival: Arrival) -> None:
        self._arrivals.append(arrival)
        self._told(arrival)
