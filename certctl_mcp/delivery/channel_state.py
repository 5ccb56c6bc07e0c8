"""The state of a channel, and the rules for it: how many attempts may begin now, and when the next ones may.

What the receiver, the network or an operator does to a channel delays its notifications and costs them no
attempt. All processes share the state of a channel. The rules are pure functions of that state and the time.

Four things can forbid an attempt, in this order: a pause by a person, a wait that the receiver asked for, an
outage, and the rate. After a wait, and during an outage, one attempt at a time shows whether the channel
works again; when it does, what has waited goes out at the channel's rate.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from certctl_mcp.delivery.retry_policy import RetryPolicy

SHORTEST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(hours=1)
"""Bounds of a wait that the receiver asked for. If it names no time, the wait doubles from the shortest."""

OUTAGE_AFTER = 3
"""So many different notifications in a row must fail for the channel's sake before it is held."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: `burst` attempts at once, and one more for each `interval` that passes."""

    interval: timedelta
    burst: int = 1


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """What the settings say about a channel."""

    policy: RetryPolicy
    """Its backoff is the time between two probes of a channel that is held."""
    probe_timeout: timedelta
    """How long an attempt takes at most. If nothing is known of a probe by then, the next one may begin."""
    rate: Rate | None = None
    hold: timedelta | None = None
    """How long a channel is held in an outage; None: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelState:
    """What all processes know of a channel. A new one has nothing against it."""

    full_at: datetime | None = None
    """When the rate's bucket is full again; None: it is."""
    waits: int = 0
    """Answers in a row that asked to wait."""
    wait_until: datetime | None = None
    failing: tuple[str, ...] = ()
    """Different notifications that failed for the channel's sake since it last worked, a few of them."""
    held_since: datetime | None = None
    """The beginning of the outage. It remains after the hold has ended, until the channel works."""
    probes: int = 0
    """Failed probes of the outage."""
    probe_at: datetime | None = None
    """When the next single attempt may begin."""
    paused_until: datetime | None = None
    """By a person."""


class Reason(StrEnum):
    """Why no attempt may begin."""

    PAUSED = "paused"
    ASKED_TO_WAIT = "asked_to_wait"
    OUTAGE = "outage"
    RATE = "rate"


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many attempts may begin; if none may, why, and when to ask again."""

    count: int
    reason: Reason | None = None
    until: datetime | None = None


def allowance(state: ChannelState, rules: ChannelRules, now: datetime, wanted: int) -> Allowance:
    """How many of `wanted` attempts may begin at `now`."""
    if state.paused_until is not None and now < state.paused_until:
        return Allowance(0, Reason.PAUSED, state.paused_until)
    if state.wait_until is not None and now < state.wait_until:
        return Allowance(0, Reason.ASKED_TO_WAIT, state.wait_until)
    if single := _single(state, rules, now):
        if state.probe_at is not None and now < state.probe_at:
            return Allowance(0, single, state.probe_at)
        wanted = min(wanted, 1)
    if rules.rate is None:
        return Allowance(wanted)
    tokens = _tokens(state, rules.rate, now)
    if tokens <= 0:
        return Allowance(0, Reason.RATE, _next_token_at(state, rules.rate, now))
    return Allowance(min(wanted, tokens))


def began(state: ChannelState, rules: ChannelRules, now: datetime, count: int) -> ChannelState:
    """The state once `count` attempts that were allowed at `now` have begun."""
    if count <= 0:
        return state
    if rules.rate is not None:
        state = replace(state, full_at=_later(state.full_at, now) + count * rules.rate.interval)
    if _single(state, rules, now):
        state = replace(state, probe_at=now + rules.probe_timeout)
    return state


def worked(state: ChannelState) -> ChannelState:
    """The receiver answered as one that works: it delivered, or refused only this one notification."""
    return replace(state, waits=0, wait_until=None, failing=(), held_since=None, probes=0, probe_at=None)


def asked_to_wait(state: ChannelState, now: datetime, retry_after: timedelta | None) -> ChannelState:
    """The receiver refuses everything until a time that it named, or for a while."""
    # Several attempts may have been in flight: their answers count as one, and the longest wait holds.
    crowd = state.wait_until is not None and now < state.wait_until
    waits = state.waits if crowd else state.waits + 1
    named = retry_after if retry_after is not None else SHORTEST_WAIT * 2 ** min(waits - 1, 12)
    until = now + min(max(named, SHORTEST_WAIT), LONGEST_WAIT)
    return replace(
        state,
        waits=waits,
        wait_until=_later(state.wait_until, until) if crowd else until,
        probe_at=None,
    )


def failed(state: ChannelState, rules: ChannelRules, now: datetime, notification_id: str) -> ChannelState:
    """An attempt failed for the channel's sake: no connection, no answer in time, 5xx, wrong credentials."""
    if is_held(state, rules, now):
        pause = rules.policy.wait(state.probes)
        return replace(state, probes=state.probes + 1, probe_at=now + pause)
    if notification_id in state.failing or state.held_since is not None:
        return state
    failing = (*state.failing, notification_id)[:OUTAGE_AFTER]
    if rules.hold is None or len(failing) < OUTAGE_AFTER:
        return replace(state, failing=failing)
    return replace(state, failing=failing, held_since=now, probes=1, probe_at=now + rules.policy.wait(0))


def is_held(state: ChannelState, rules: ChannelRules, now: datetime) -> bool:
    """The channel is in an outage, and its notifications wait for it to end."""
    return rules.hold is not None and state.held_since is not None and now < state.held_since + rules.hold


def _single(state: ChannelState, rules: ChannelRules, now: datetime) -> Reason | None:
    """Why only one attempt at a time may be made; None if several may."""
    if is_held(state, rules, now):
        return Reason.OUTAGE
    return Reason.ASKED_TO_WAIT if state.waits else None


def _tokens(state: ChannelState, rate: Rate, now: datetime) -> int:
    missing = _later(state.full_at, now) - now
    return rate.burst - -(-missing // rate.interval)


def _next_token_at(state: ChannelState, rate: Rate, now: datetime) -> datetime:
    return _later(state.full_at, now) - (rate.burst - 1) * rate.interval


def _later(moment: datetime | None, now: datetime) -> datetime:
    return now if moment is None else max(moment, now)
