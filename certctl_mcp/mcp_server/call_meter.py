"""Metrics of this process's tool calls: counts by outcome, and durations."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import anyio

from certctl_mcp.delivery.metrics import Durations

UNKNOWN = "unknown"
"""Stands for tools that are not served: their names are the caller's and their number is unlimited."""

CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class CallOutcome(StrEnum):
    """How a call ended."""

    ANSWERED = "answered"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    FAILED = "failed"


class CallMeter:
    """The calls that have ended in this process, by tool."""

    def __init__(self) -> None:
        self.durations: dict[str, Durations] = {}
        self._ended: Counter[tuple[str, CallOutcome]] = Counter()

    @contextmanager
    def measured(self, tool: str) -> Iterator["Call"]:
        """Measures the call in its body, which sets its outcome."""
        call, started = Call(), time.perf_counter()
        try:
            yield call
        except anyio.get_cancelled_exc_class():
            call.outcome = CallOutcome.CANCELLED
            raise
        finally:
            call.seconds = time.perf_counter() - started
            self._ended[tool, call.outcome] += 1
            self.durations.setdefault(tool, Durations(CALL_SECONDS)).add(call.seconds)

    def count(self, tool: str, outcome: CallOutcome) -> int:
        return self._ended[tool, outcome]


class Call:
    """A call in progress."""

    outcome = CallOutcome.FAILED
    """Unless it is set, the call has raised."""
    seconds = 0.0
    """How long it took."""
