"""The state of a channel, and the rules for it: how many attempts may begin now, and when the next ones may.

Trouble with a receiver or the network, and a pause by an operator, delay the notifications of a channel but
use up none of their attempts. All processes share the state of a channel. The rules are pure functions of
that state and the time.

Four things can prevent an attempt, in this order: a pause by a person, a wait requested by the receiver, an
outage, and the rate limit. During an outage one probe at a time tests whether the channel works again; when
it does, the backlog is sent at the channel's rate limit. After a wait the first few attempts are made one at
a time, because a receiver with a rate limit would refuse most of a burst again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

SHORTEST_WAIT = timedelta(seconds=1)
LONGEST_CLOSURE = timedelta(hours=1)
"""Bounds of a wait requested by the receiver, and of the time between two probes. If the receiver gives no
time, the wait doubles, starting with the shortest."""

LONGEST_PAUSE = timedelta(days=30)
"""For a pause by a person."""

STEADY_AFTER = 5
"""The number of single attempts that must succeed after a wait before several are made at once."""

OUTAGE_AFTER = 3
"""The number of different notifications in a row that must fail because of the channel before it is held."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: `burst` attempts at once, and one more for each `interval` that passes."""

    interval: timedelta
    burst: int = 1


def _never(_failures: int) -> timedelta:
    return LONGEST_CLOSURE


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """The settings of a process for a channel."""

    rate: Rate | None = None
    sessions: int | None = None
    """The most attempts in flight, over all processes."""
    hold: timedelta | None = None
    """How long a channel is held in an outage; None: never."""
    backoff: Callable[[int], timedelta] = _never
    """The time until the next probe of a held channel, by the number of failed probes."""
    probe_timeout: timedelta = timedelta(seconds=30)
    """The longest that an attempt takes. If a probe has no outcome by then, the next one may begin."""

    @property
    def limited(self) -> bool:
        """Whether attempts are counted even while the channel works."""
        return self.rate is not None or self.sessions is not None


UNLIMITED = ChannelRules()


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause set by a person, during which nothing is attempted."""

    until: datetime
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelState:
    """The state of a channel, shared by all processes. A new channel is open."""

    full_at: datetime | None = None
    """When the token bucket is full again; None if it is full."""
    waits: int = 0
    """Consecutive responses that asked to wait."""
    wait_until: datetime | None = None
    recovering: int = 0
    """Single attempts that must still succeed before several are made at once."""
    failing: tuple[str, ...] = ()
    """Some of the notifications that failed because of the channel since it last worked."""
    held_since: datetime | None = None
    """The beginning of the outage. It remains after the hold has ended, until the channel works."""
    held_until: datetime | None = None
    """When the hold ends by itself."""
    probes: int = 0
    """Failed probes of the outage."""
    probe_at: datetime | None = None
    """When the next single attempt may begin."""
    error: str | None = None
    """The newest response that closed the channel."""
    pause: Pause | None = None


class Reason(StrEnum):
    """Why no attempt may begin."""

    PAUSED = "paused"
    TOLD_TO_WAIT = "told_to_wait"
    OUTAGE = "outage"
    RATE = "rate"
    SESSIONS = "sessions"


@dataclass(frozen=True, slots=True)
class Allowance:
    """The number of attempts that may begin; if none, the reason, and when to check again (None: when an
    attempt ends)."""

    count: int
    reason: Reason | None = None
    until: datetime | None = None


def as_of(state: ChannelState, now: datetime) -> ChannelState:
    """The state without a full bucket, a pause that is over, or times so far ahead that only a wrong clock
    can have set them."""
    return replace(
        state,
        full_at=None if state.full_at is not None and state.full_at <= now else state.full_at,
        wait_until=_unless_after(state.wait_until, now + LONGEST_CLOSURE),
        probe_at=_unless_after(state.probe_at, now + LONGEST_CLOSURE),
        pause=None if state.pause is not None and state.pause.until <= now else state.pause,
    )


def allowance(
    state: ChannelState, rules: ChannelRules, now: datetime, wanted: int, in_flight: int = 0
) -> Allowance:
    """How many of `wanted` attempts may begin at `now`, with `in_flight` others in progress."""
    if state.pause is not None and now < state.pause.until:
        return Allowance(0, Reason.PAUSED, state.pause.until)
    if state.wait_until is not None and now < state.wait_until:
        return Allowance(0, Reason.TOLD_TO_WAIT, state.wait_until)
    if single := one_at_a_time(state, now):
        if state.probe_at is not None and now < state.probe_at:
            return Allowance(0, single, state.probe_at)
        wanted = min(wanted, 1)
    if rules.sessions is not None:
        if in_flight >= rules.sessions:
            return Allowance(0, Reason.SESSIONS)
        wanted = min(wanted, rules.sessions - in_flight)
    if rules.rate is None:
        return Allowance(wanted)
    tokens = rules.rate.burst - -(-_missing(state, rules.rate, now) // rules.rate.interval)
    if tokens <= 0:
        next_token = _missing(state, rules.rate, now) - (rules.rate.burst - 1) * rules.rate.interval
        return Allowance(0, Reason.RATE, now + next_token)
    return Allowance(min(wanted, tokens))


def began(state: ChannelState, rules: ChannelRules, now: datetime, count: int) -> ChannelState:
    """The state once `count` attempts that were allowed at `now` have begun."""
    if rules.rate is not None and state.full_at is not None:
        # Set by a wrong clock, it would keep the bucket empty until that time.
        state = replace(state, full_at=min(state.full_at, now + rules.rate.interval * rules.rate.burst))
    if count <= 0:
        return state
    if rules.rate is not None:
        missing = _missing(state, rules.rate, now) + count * rules.rate.interval
        state = replace(state, full_at=now + missing)
    if one_at_a_time(state, now):
        state = replace(state, probe_at=now + min(rules.probe_timeout, LONGEST_CLOSURE))
    return state


def worked(state: ChannelState, begun_at: datetime) -> ChannelState:
    """The receiver responded normally to an attempt that began at `begun_at`: it accepted the notification,
    or refused only this one."""
    if state.wait_until is not None and begun_at < state.wait_until:
        # It began before the receiver asked to wait, so it can't show that the wait is over.
        return replace(state, failing=(), held_since=None, held_until=None, probes=0)
    recovering = max(0, state.recovering - 1)
    return ChannelState(
        full_at=state.full_at,
        recovering=recovering,
        error=state.error if recovering else None,
        pause=state.pause,
    )


def ended(state: ChannelState, now: datetime, begun_at: datetime) -> ChannelState:
    """An attempt that began at `begun_at` has ended without showing that the channel works. After a wait, the
    next single one may begin."""
    if is_held(state, now) or (state.wait_until is not None and begun_at < state.wait_until):
        return state
    return replace(state, probe_at=None)


def told_to_wait(
    state: ChannelState, now: datetime, retry_after: timedelta | None, error: str | None = None
) -> ChannelState:
    """The receiver refuses everything until a time that it gave, or for a while if it gave none."""
    # Several attempts may have been in flight: their responses count as one, and the longest wait applies.
    simultaneous = state.wait_until is not None and now < state.wait_until
    waits = state.waits if simultaneous else state.waits + 1
    named = retry_after if retry_after is not None else SHORTEST_WAIT * 2 ** min(waits - 1, 12)
    until = now + min(max(named, SHORTEST_WAIT), LONGEST_CLOSURE)
    return replace(
        state,
        waits=waits,
        wait_until=_later(state.wait_until, until) if simultaneous else until,
        recovering=STEADY_AFTER,
        probe_at=None,
        error=error,
    )


def failed(
    state: ChannelState,
    rules: ChannelRules,
    now: datetime,
    notification_id: str,
    error: str | None = None,
    *,
    probe: bool = False,
) -> ChannelState:
    """An attempt failed because of the channel: no connection, no response in time, 5xx, wrong credentials.

    `probe`: it was the probe of a held channel.
    """
    if is_held(state, now):
        if not probe:
            return state
        pause = min(rules.backoff(state.probes), LONGEST_CLOSURE)
        return replace(state, probes=state.probes + 1, probe_at=now + pause, error=error)
    if rules.hold is None or state.held_since is not None or notification_id in state.failing:
        return state
    state = replace(state, failing=(*state.failing, notification_id), error=error)
    if len(state.failing) < OUTAGE_AFTER:
        return state
    first = now + min(rules.backoff(0), LONGEST_CLOSURE)
    return replace(state, held_since=now, held_until=now + rules.hold, probes=1, probe_at=first)


@dataclass(frozen=True, slots=True)
class Worked:
    """The receiver responded normally."""

    begun_at: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt has ended without showing that the channel works."""

    begun_at: datetime


@dataclass(frozen=True, slots=True)
class ToldToWait:
    """The receiver refuses everything for now."""

    retry_after: timedelta | None
    error: str


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt failed because of the channel."""

    notification_id: str
    error: str
    probe: bool


ChannelEvent = Worked | Ended | ToldToWait | Failed
"""What the outcome of an attempt shows about its channel."""


def apply_event(state: ChannelState, rules: ChannelRules, now: datetime, event: ChannelEvent) -> ChannelState:
    """The state once this has happened."""
    match event:
        case Worked(begun_at):
            return worked(state, begun_at)
        case Ended(begun_at):
            return ended(state, now, begun_at)
        case ToldToWait(retry_after, error):
            return told_to_wait(state, now, retry_after, error)
        case Failed(notification_id, error, probe):
            return failed(state, rules, now, notification_id, error, probe=probe)


def is_held(state: ChannelState, now: datetime) -> bool:
    """The channel is in an outage, and its notifications wait for it to end."""
    return state.held_until is not None and now < state.held_until


def one_at_a_time(state: ChannelState, now: datetime) -> Reason | None:
    """Why only one attempt at a time may be made; None if several may."""
    if is_held(state, now):
        return Reason.OUTAGE
    return Reason.TOLD_TO_WAIT if state.recovering else None


def _missing(state: ChannelState, rate: Rate, now: datetime) -> timedelta:
    """The time until the bucket is full, at most that of an empty one, in case a clock was wrong."""
    return min(_later(state.full_at, now) - now, rate.interval * rate.burst)


def _later(moment: datetime | None, now: datetime) -> datetime:
    return now if moment is None else max(moment, now)


def _unless_after(moment: datetime | None, latest: datetime) -> datetime | None:
    return None if moment is None or moment > latest else moment
