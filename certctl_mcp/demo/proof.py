"""The proof: whether every alert arrived as expected, judged by the receivers' records alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from certctl_mcp.demo.alerts import Alert
from certctl_mcp.demo.ledger import Arrival


@dataclass(frozen=True, slots=True)
class Finding:
    """What the receivers recorded about one alert."""

    alert: Alert
    arrivals: tuple[Arrival, ...]
    keys: frozenset[str]
    """The distinct idempotency keys with which it was sent."""
    accepted: int
    problem: str
    """What differs from the expectation; empty if nothing does."""


def check_deliveries(sent: Mapping[str, Alert], arrivals: Sequence[Arrival]) -> tuple[Finding, ...]:
    """A finding for each alert of `sent`, a mapping from the ids that the queue gave them."""
    return tuple(_finding(expected_key, alert, arrivals) for expected_key, alert in sent.items())


def _finding(expected_key: str, alert: Alert, arrivals: Sequence[Arrival]) -> Finding:
    own = tuple(arrival for arrival in arrivals if alert.is_in(arrival.content))
    keys = frozenset(arrival.key for arrival in own if arrival.key)
    accepted = sum(arrival.accepted for arrival in own)
    return Finding(alert, own, keys, accepted, _problem(expected_key, alert, own, keys, accepted))


def _problem(
    expected_key: str, alert: Alert, arrivals: Sequence[Arrival], keys: frozenset[str], accepted: int
) -> str:
    spacing = alert.spacing.total_seconds()
    gaps = [later.at - earlier.at for earlier, later in pairwise(arrivals)]
    if len(arrivals) < alert.requests:
        return f"{len(arrivals)} requests instead of {alert.requests}"
    if alert.delivered and not accepted:
        return "never accepted"
    if accepted and not alert.delivered:
        return "accepted, but should have been refused"
    if keys - {expected_key}:
        return f"sent with keys other than its id: {', '.join(sorted(keys - {expected_key}))}"
    if any(arrival.accepted and not arrival.key for arrival in arrivals):
        return "accepted without a key"
    if any(gap < spacing for gap in gaps):
        return f"retried after {min(gaps):.1f} s instead of {spacing:g} s"
    return ""
