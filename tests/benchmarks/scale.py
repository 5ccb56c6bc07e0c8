"""The sizes of the benchmarks: large enough to measure, or just large enough to see that they run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """The sizes of all benchmarks."""

    rounds: int
    """Rounds of turns in a comparison."""
    deliveries: int
    """Notifications delivered in one turn; slow contestants get a quarter."""
    arrivals: int
    """Alerts whose latency is measured in one turn; a quarter of them one by one."""
    stored: tuple[int, ...]
    """Rows in the tables behind a worker; queries of the history read the longest."""
    due: int
    """Of these, due when a turn begins."""
    accepting_seconds: float
    """Length of one turn."""
    rows: int
    """Rows in the queue behind a server or a query, and rows due when a sweep begins."""
    calls: int
    """Tool calls in one turn."""
    starts: int
    """Starts of each server."""
    sweeps: int
    """Sweeps in one turn."""
    sweep_limit: int
    """Notifications attempted in one sweep."""
    settle_seconds: float
    """How long a server idles before its memory is read."""
    load_clients: int
    """Clients of the HTTP server."""
    load_seconds: float
    """How long they send requests."""
    load_alerts_a_minute: int
    """Alerts created and delivered during that time."""
    kept_alive: tuple[int, ...]
    """Clients that send requests without a pause."""
    kept_alive_seconds: float
    """How long they do."""
    pools: tuple[int, ...]
    """Sizes of procrastinate's connection pool, the best of which is used."""
    rates: tuple[int, ...]
    """Rates of alerts a second at which latency is measured, besides one by one."""
    workers: tuple[int, ...]
    """Processes that empty a queue together."""


FULL = Scale(
    rounds=5,
    deliveries=20_000,
    arrivals=1000,
    stored=(10_000, 1_000_000, 10_000_000),
    due=1000,
    accepting_seconds=3,
    rows=1_000_000,
    calls=100,
    starts=15,
    sweeps=5,
    sweep_limit=1000,
    settle_seconds=3,
    load_clients=200,
    load_seconds=60,
    load_alerts_a_minute=1000,
    kept_alive=(1, 20, 200),
    kept_alive_seconds=5,
    pools=(4, 10, 50),
    rates=(50, 200),
    workers=(1, 2, 4),
)
TINY = Scale(
    rounds=1,
    deliveries=40,
    arrivals=8,
    stored=(100, 200),
    due=20,
    accepting_seconds=0.2,
    rows=200,
    calls=2,
    starts=1,
    sweeps=2,
    sweep_limit=20,
    settle_seconds=0,
    load_clients=3,
    load_seconds=1.5,
    load_alerts_a_minute=600,
    kept_alive=(1, 20),
    kept_alive_seconds=0.1,
    pools=(4,),
    rates=(),
    workers=(1, 2),
)
