"""The state of a channel, and the rules for it: how many attempts may begin now, and when the next ones may.

What the receiver, the network or an operator does to a channel delays its notifications and costs them no
attempt. All processes share the state of a channel. The rules are pure functions of that state and the time.

Four things can forbid an attempt, in this order: a pause by a person, a wait that the receiver asked for, an
outage, and the rate. During an outage one attempt at a time shows whether the channel works again; when it
does, what has waited goes out at the channel's rate. After a wait the first few attempts are made one at a
time, because a receiver that limits what it takes would refuse most of a crowd again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

SHORTEST_WAIT = timedelta(seconds=1)
LONGEST_CLOSURE = timedelta(hours=1)
"""Bounds of a wait that the receiver asked for, and of the time between two probes. If the receiver names no
time, the wait doubles from the shortest."""

LONGEST_PAUSE = timedelta(days=30)
"""By a person."""

STEADY_AFTER = 5
"""So many attempts, one at a time, must work after a wait before several are made at once."""

OUTAGE_AFTER = 3
"""So many different notifications in a row must fail for the channel's sake before it is held."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: `burst` attempts at once, and one more for each `interval` that passes."""

    interval: timedelta
    burst: int = 1


def _never(_failures: int) -> timedelta:
    return LONGEST_CLOSURE


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """What the settings of a process say about a channel."""

    rate: Rate | None = None
    sessions: int | None = None
    """The most attempts in flight, over all processes."""
    hold: timedelta | None = None
    """How long a channel is held in an outage; None: never."""
    backoff: Callable[[int], timedelta] = _never
    """The time until the next probe of a channel that is held, after so many that failed."""
    probe_timeout: timedelta = timedelta(seconds=30)
    """How long an attempt takes at most. If nothing is known of a probe by then, the next one may begin."""

    @property
    def limited(self) -> bool:
        """Attempts are counted even while nothing is wrong with the channel."""
        return self.rate is not None or self.sessions is not None


UNLIMITED = ChannelRules()


@dataclass(frozen=True, slots=True)
class Pause:
    """A person's word that nothing is to be attempted for a while."""

    until: datetime
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelState:
    """What all processes know of a channel. A new one has nothing against it."""

    full_at: datetime | None = None
    """When the rate's bucket is full again; None: it is."""
    waits: int = 0
    """Answers in a row that asked to wait."""
    wait_until: datetime | None = None
    recovering: int = 0
    """Attempts that must yet work, one at a time, before several are made at once."""
    failing: tuple[str, ...] = ()
    """Different notifications that failed for the channel's sake since it last worked, a few of them."""
    held_since: datetime | None = None
    """The beginning of the outage. It remains after the hold has ended, until the channel works."""
    held_until: datetime | None = None
    """When the hold ends by itself."""
    probes: int = 0
    """Failed probes of the outage."""
    probe_at: datetime | None = None
    """When the next single attempt may begin."""
    error: str | None = None
    """The newest answer that closed the channel."""
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
    """How many attempts may begin; if none may, why, and when to ask again: None means when one ends."""

    count: int
    reason: Reason | None = None
    until: datetime | None = None


def as_of(state: ChannelState, now: datetime) -> ChannelState:
    """The state without a bucket that is full again and a pause that is over, and without times further ahead
    than any that these rules set: a clock was wrong."""
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
    """How many of `wanted` attempts may begin at `now`, while `in_flight` others have not ended."""
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
    if count <= 0:
        return state
    if rules.rate is not None:
        missing = _missing(state, rules.rate, now) + count * rules.rate.interval
        state = replace(state, full_at=now + missing)
    if one_at_a_time(state, now):
        state = replace(state, probe_at=now + min(rules.probe_timeout, LONGEST_CLOSURE))
    return state


def worked(state: ChannelState, begun_at: datetime) -> ChannelState:
    """The receiver answered an attempt that began at `begun_at` as one that works: it delivered, or refused
    only this one notification."""
    if state.wait_until is not None and begun_at < state.wait_until:
        # It began before the receiver asked to wait, so it says nothing of whether that is over.
        return replace(state, failing=(), held_since=None, held_until=None, probes=0)
    recovering = max(0, state.recovering - 1)
    return ChannelState(
        full_at=state.full_at,
        recovering=recovering,
        error=state.error if recovering else None,
        pause=state.pause,
    )


def told_to_wait(
    state: ChannelState, now: datetime, retry_after: timedelta | None, error: str | None = None
) -> ChannelState:
    """The receiver refuses everything until a time that it named, or for a while."""
    # Several attempts may have been in flight: their answers count as one, and the longest wait holds.
    crowd = state.wait_until is not None and now < state.wait_until
    waits = state.waits if crowd else state.waits + 1
    named = retry_after if retry_after is not None else SHORTEST_WAIT * 2 ** min(waits - 1, 12)
    until = now + min(max(named, SHORTEST_WAIT), LONGEST_CLOSURE)
    return replace(
        state,
        waits=waits,
        wait_until=_later(state.wait_until, until) if crowd else until,
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
    """An attempt failed for the channel's sake: no connection, no answer in time, 5xx, wrong credentials.

    `probe`: it was the single attempt of a channel that is held.
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
    """The receiver answered as one that works."""

    begun_at: datetime


@dataclass(frozen=True, slots=True)
class ToldToWait:
    """The receiver refuses everything for now."""

    retry_after: timedelta | None
    error: str


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt failed for the channel's sake."""

    notification_id: str
    error: str
    probe: bool


ChannelEvent = Worked | ToldToWait | Failed
"""What the end of an attempt says about its channel."""


def after(state: ChannelState, rules: ChannelRules, now: datetime, event: ChannelEvent) -> ChannelState:
    """The state once this has happened."""
    match event:
        case Worked(begun_at):
            return worked(state, begun_at)
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
    """The time until the bucket is full, at most that of an empty one: a clock may have been wrong."""
    return min(_later(state.full_at, now) - now, rate.interval * rate.burst)


def _later(moment: datetime | None, now: datetime) -> datetime:
    return now if moment is None else max(moment, now)


def _unless_after(moment: datetime | None, latest: datetime) -> datetime | None:
    return None if moment is None or moment > latest else moment
