"""The stored states of the channels, updated by the outcomes of attempts.

A channel without a row is open. A row is locked before its state is read for a change, so that all processes
together stay within a channel's rate limit.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, exists, or_, select, true

from storage.channel_state import (
    LONGEST_CLOSURE,
    ChannelEvent,
    ChannelRules,
    ChannelState,
    Ended,
    Pause,
    Worked,
    allowance,
    apply_event,
    as_of,
)
from storage.engine.per_database import PerDatabase
from storage.engine.transaction import NOW, Transaction
from storage.operations.notify import notify_due
from storage.schema.tables import notification_channels
from storage.sql.dialects import INSERTS, Insert, ahead, has_passed
from storage.sql.json_rows import Batch, Value, encoded
from storage.sql.text import storable

EARLY = timedelta(milliseconds=20)
"""A channel counts as open this long before it really is, because the clock of a process that wakes for it
may be a little fast. The claim then returns the exact time."""

_c = notification_channels.c
_BLANK = ChannelState()

OPEN: ColumnElement[bool] = and_(
    or_(_c.paused_until.is_(None), _c.paused_until <= NOW),
    or_(
        _c.opens_at.is_(None),
        has_passed(_c.opens_at, NOW, ahead(LONGEST_CLOSURE)),
    ),
)
"""The channel of this row may be open."""


_trouble = or_(_c.waits > 0, _c.recovering > 0, _c.failing != "[]", _c.held_since.is_not(None))
IN_TROUBLE = select(_c.channel).where(_trouble)
"""The channels with a problem that a success would clear."""


def in_trouble(channel: ColumnElement[str]) -> ColumnElement[bool]:
    """The channel is one of these."""
    return exists(select(_c.channel).where(_c.channel == channel, _trouble))


_named = _c.channel.in_(select(Batch("names").values))
_LOCKED = select(notification_channels).where(_named).order_by(_c.channel).with_for_update()
_FORGET = delete(notification_channels).where(_named)
_COLUMNS = list(notification_channels.columns)


def _create(insert: Insert) -> Insert:
    rows = select(Batch("names").values).where(true())
    return insert.from_select([_c.channel.name], rows).on_conflict_do_nothing()


def _save(insert: Insert) -> Insert:
    rows = select(*Batch("states").fields(_COLUMNS)).where(true())
    insert = insert.from_select([column.name for column in _COLUMNS], rows)
    values = {column.name: insert.excluded[column.name] for column in _COLUMNS if column is not _c.channel}
    return insert.on_conflict_do_update(index_elements=[_c.channel.name], set_=values)


_CREATE = PerDatabase(**{name: _create(insert(notification_channels)) for name, insert in INSERTS.items()})
_SAVE = PerDatabase(**{name: _save(insert(notification_channels)) for name, insert in INSERTS.items()})


@dataclass(frozen=True, slots=True)
class Report:
    """What the outcome of an attempt shows about its channel, and the rules of its process."""

    channel: str
    event: ChannelEvent
    rules: ChannelRules


@dataclass(frozen=True, slots=True)
class Stored:
    """The stored state of a channel."""

    state: ChannelState = _BLANK
    opens_at: datetime | None = None


def lock(
    transaction: Transaction, channels: Collection[str], *, create: Collection[str]
) -> dict[str, Stored]:
    """The states of these channels, which no other process changes until the transaction ends.

    Those in `create` get a row to lock; others without a row are left out.
    """
    connection, names = transaction.connection, {"names": encoded(sorted(channels))}
    found = connection.execute(_LOCKED, names).all()
    if missing := set(create) - {row.channel for row in found}:
        connection.execute(transaction.choose(_CREATE), {"names": encoded(sorted(missing))})
        found = connection.execute(_LOCKED, names).all()
    return {row.channel: Stored(as_of(state_of(row), transaction.now), row.opens_at) for row in found}


def save(
    transaction: Transaction,
    locked: Mapping[str, Stored],
    states: Mapping[str, tuple[ChannelState, ChannelRules]],
) -> None:
    """Write the states of locked channels that have changed. An open channel without a limit needs no row.

    On SQLite, a commit without changes would wake the other processes, which would in turn wake this one.
    """
    now = transaction.now
    blank = {name for name, (state, rules) in states.items() if state == _BLANK and not rules.limited}
    if forgotten := sorted(blank & locked.keys()):
        transaction.connection.execute(_FORGET, {"names": encoded(forgotten)})
    changed = []
    for name in sorted(states.keys() - blank):
        state, rules = states[name]
        before = locked.get(name, Stored())
        opens_at = _opens_at(state, rules, now, before.opens_at)
        if name not in locked or before != Stored(state, opens_at):
            changed.append(_row(name, state, opens_at))
    if changed:
        transaction.connection.execute(transaction.choose(_SAVE), {"states": encoded(changed)})


def report(transaction: Transaction, reports: Sequence[Report]) -> list[None]:
    """Apply the reports to the states of the channels."""
    if reports:
        known = {item.channel for item in reports}
        needed = {item.channel for item in reports if not isinstance(item.event, Worked | Ended)}
        locked = lock(transaction, known, create=needed)
        states = {name: stored.state for name, stored in locked.items()}
        changed: dict[str, tuple[ChannelState, ChannelRules]] = {}
        for item in reports:
            if (state := states.get(item.channel)) is not None:
                states[item.channel] = apply_event(state, item.rules, transaction.now, item.event)
                changed[item.channel] = states[item.channel], item.rules
        save(transaction, locked, changed)
        if any(isinstance(item.event, Worked | Ended) for item in reports):
            notify_due(transaction)
    return [None for _ in reports]


def state_of(row: Row[Any]) -> ChannelState:
    pause = None
    if row.paused_until is not None:
        pause = Pause(row.paused_until, row.pause_reason or "", row.paused_by or "")
    return ChannelState(
        full_at=row.full_at,
        waits=row.waits,
        wait_until=row.wait_until,
        recovering=row.recovering,
        failing=tuple(json.loads(row.failing)),
        held_since=row.held_since,
        held_until=row.held_until,
        probes=row.probes,
        probe_at=row.probe_at,
        error=row.error,
        pause=pause,
    )


def _row(channel: str, state: ChannelState, opens_at: datetime | None) -> dict[str, Value]:
    pause = state.pause
    return {
        "channel": channel,
        "opens_at": opens_at,
        "full_at": state.full_at,
        "waits": state.waits,
        "wait_until": state.wait_until,
        "recovering": state.recovering,
        "failing": json.dumps(state.failing),
        "held_since": state.held_since,
        "held_until": state.held_until,
        "probes": state.probes,
        "probe_at": state.probe_at,
        "error": None if state.error is None else storable(state.error),
        "paused_until": None if pause is None else pause.until,
        "pause_reason": None if pause is None else pause.reason,
        "paused_by": None if pause is None else pause.by,
    }


def _opens_at(
    state: ChannelState, rules: ChannelRules, now: datetime, before: datetime | None
) -> datetime | None:
    """When the channel opens or opened. A process whose last claim was before that doesn't know it yet."""
    until = allowance(replace(state, pause=None), rules, now, 1).until
    if until is not None:
        return until - EARLY
    return before if before is not None and before <= now else None
