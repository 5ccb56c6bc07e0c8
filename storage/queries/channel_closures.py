"""The closed channels, with the reason, the time of opening and the size of the backlog."""

from datetime import datetime

from sqlalchemy import Connection, select

from storage.channel_state import LONGEST_CLOSURE, ChannelState, as_of, is_held
from storage.models import ChannelClosure, Closure
from storage.operations.channel_states import EARLY, state_of
from storage.queries.processes import count_waiting
from storage.schema.tables import notification_channels

_STATES = select(notification_channels).order_by(notification_channels.c.channel)


def channel_closures(connection: Connection, now: datetime) -> tuple[ChannelClosure, ...]:
    """Sorted by name."""
    found: list[ChannelClosure] = []
    for row in connection.execute(_STATES).all():
        opens_at = None if row.opens_at is None else row.opens_at + EARLY
        state = as_of(state_of(row), now)
        closed = _closure(state, opens_at, now)
        if closed is None:
            continue
        reason, until = closed
        waiting = count_waiting(connection, row.channel)
        if reason is Closure.RATE_LIMITED and not waiting:
            continue
        pause = state.pause if reason is Closure.PAUSED else None
        found.append(
            ChannelClosure(
                channel=row.channel,
                state=reason,
                until=until,
                since=state.held_since if reason is Closure.HELD else None,
                ends_at=state.held_until if reason is Closure.HELD else None,
                reason=pause.reason if pause else None,
                by=pause.by if pause else None,
                error=state.error if reason in (Closure.HELD, Closure.TOLD_TO_WAIT) else None,
                waiting=waiting,
            )
        )
    return tuple(found)


def _closure(
    state: ChannelState, opens_at: datetime | None, now: datetime
) -> tuple[Closure, datetime] | None:
    if state.pause is not None and now < state.pause.until:
        return Closure.PAUSED, state.pause.until
    if state.wait_until is not None and now < state.wait_until:
        return Closure.TOLD_TO_WAIT, state.wait_until
    if is_held(state, now):
        return Closure.HELD, state.probe_at or now
    if opens_at is not None and now < opens_at <= now + LONGEST_CLOSURE:
        return Closure.TOLD_TO_WAIT if state.recovering else Closure.RATE_LIMITED, opens_at
    return None
