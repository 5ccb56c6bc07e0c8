"""The outcome of an attempt, written if its claim still holds the notification.

If the lease was lost, the outcome is refused: it is recorded as an attempt, and changes nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, not_, select, tuple_, union_all, update
from sqlalchemy.sql.dml import ReturningUpdate

from storage.engine.per_database import PerDatabase
from storage.engine.transaction import Transaction
from storage.models import AttemptOutcome, Claim, Notification, NotificationStatus
from storage.operations.attempt_records import recording
from storage.operations.channel_states import IN_TROUBLE, Report, in_trouble, report
from storage.operations.deliveries import Token, row_of, write_deliveries
from storage.operations.leases import WAITING, held_by
from storage.operations.notify import notify_due
from storage.operations.successors import accept_successors
from storage.schema.tables import notification_attempts, notification_events
from storage.sql.dialects import INSERTS
from storage.sql.json_rows import Batch, Stored, Value, encoded
from storage.sql.prepared import Prepared
from storage.sql.prepared_postgresql import PreparedPostgresql
from storage.sql.text import storable
from storage.structs import struct


@struct
class Transition:
    """The values that an outcome writes to the notification."""

    status: NotificationStatus
    retry_count: int
    sent_at: datetime | None = None
    next_retry_at: datetime | None = None
    """The time of the next attempt; stored as `rescue_at` if the claim is a rescue."""
    scheduled_at: datetime | None = None
    """When that was decided."""
    error: str | None = None
    last_error: str | None = None
    abandoned: int = 0
    """Added to the number of abandoned attempts."""
    wait_count: int = 0
    waiting_since: datetime | None = None
    """None: unchanged."""


@struct
class Finished:
    """An attempt that has ended, and its consequences."""

    claim: Claim
    duration: timedelta
    outcome: AttemptOutcome
    error: str | None
    transition: Transition
    successors: Sequence[Notification] = ()
    """Accepted together with the outcome, unless the outcome is refused."""
    report: Report | None = None
    """What it shows about the channel, except merely that it works."""


@struct
class Recorded:
    """The result of recording an outcome."""

    on_time: bool
    """False if the lease was lost and the outcome refused."""
    channel_in_trouble: bool = False
    """The channel was in trouble when the outcome was written."""
    successors: Sequence[Notification] = ()
    """The successors that were accepted."""


_n = notification_events.c
_a = notification_attempts.c
_WRITTEN = (
    _n.status,
    _n.retry_count,
    _n.sent_at,
    _n.next_retry_at,
    _n.scheduled_at,
    _n.error,
    _n.last_error,
    _n.abandoned_count,
    _n.wait_count,
    _n.waiting_since,
)
_RECORDED = (_a.number, _a.started_at, _a.duration, _a.outcome, _a.worker, _a.channel)
_RECORDED_AS = ["notification_id", "error", "late", *(column.name for column in _RECORDED)]

_ENDED = {"lease_owner": None, "lease_expires_at": None, "claimed_at": None}

_batch = Batch("finished")


def _values(
    fields: Mapping[str, ColumnElement[Any]], *, rescue: bool
) -> dict[str, ColumnElement[Any] | None]:
    """The values that an outcome writes. While certctl's server delivers, it must not find the time of a
    retry."""
    written = {column.name: fields[column.name] for column in _WRITTEN}
    if rescue:
        return {**written, **_ENDED, "rescue_at": written["next_retry_at"], "next_retry_at": None}
    return {**written, **_ENDED, "rescue_at": None}


def _finishing(rescue: bool) -> ReturningUpdate[tuple[str, int, bool]]:
    fields = {column.name: _batch.field(column.name, column.type) for column in _WRITTEN}
    return (
        update(notification_events)
        .where(held_by(_batch), WAITING)
        .values(_values(fields, rescue=rescue))
        # RETURNING doesn't qualify its columns, so within a subquery this one would be another table's.
        .returning(_n.id, _n.attempt_count, _n.channel.in_(IN_TROUBLE).label("trouble"))
    )


_FINISH = {rescue: Prepared(_finishing(rescue)) for rescue in (False, True)}
_late = _batch.place.in_(select(Batch("late").values))
_RECORD = Prepared(
    recording(
        INSERTS["sqlite"](notification_attempts).from_select(
            _RECORDED_AS,
            select(_n.id, _batch.field("attempt_error"), _late)
            .add_columns(*_batch.fields(_RECORDED))
            .join_from(_batch.rows, notification_events, _n.id == _batch.field("id")),
        )
    )
)
"""`late` has the positions in the batch of the refused outcomes."""


def finishing_at_once(rescue: bool) -> Select[str, int]:
    """Change the notifications and record the attempts in one statement, which is one round trip.

    PostgreSQL runs every part on the same snapshot, so each part passes on what it did with RETURNING.
    """
    # ended: the batch, one row for each attempt that ended.
    named = {column.name: column for column in (*_WRITTEN, *_RECORDED)}
    texts = (_batch.field(name).label(name) for name in ("id", "attempt_error"))
    ended = select(*texts, *_batch.fields(named.values())).select_from(_batch.rows).cte("ended").c
    # held: changes the notifications whose claim still holds, and returns their tokens.
    held = (
        update(notification_events)
        .where(
            _n.id == ended.id,
            _n.lease_owner == ended.worker,
            _n.attempt_count == ended.number,
            WAITING,
        )
        .values(_values(dict(ended), rescue=rescue))
        .returning(_n.id, _n.attempt_count, _n.channel)
        .cte("held")
    )
    # decided: whether each attempt's lease was lost, and whether `held` has locked its notification.
    token, held_token = tuple_(ended.id, ended.number), select(held.c.id, held.c.attempt_count)
    decided = (
        select(
            *(ended[name] for name in ("id", "attempt_error")),
            token.not_in(held_token).label("late"),
            *(ended[column.name] for column in _RECORDED),
            # A value can be looked up in a hash table; a condition would be compared for every pair of rows.
            ended.id.in_(select(held.c.id)).label("locked"),
        )
    ).cte("decided")
    # answered: the attempts on notifications that `held` has locked; one of these may be a second, late one.
    recordable = [column for column in decided.c if column.name != "locked"]
    answered = select(*recordable).where(decided.c.locked)
    # refused: the attempts whose notification is not locked yet, if it still exists. It is locked here, so
    # that it can't be deleted before its attempt is recorded.
    refused = (
        select(*recordable)
        .where(not_(decided.c.locked), decided.c.id == _n.id)
        .with_for_update(key_share=True, read=True, of=notification_events)
    )
    # recorded: inserts both kinds of attempt.
    attempts = union_all(answered, select(refused.subquery()))
    recorded = recording(INSERTS["postgresql"](notification_attempts).from_select(_RECORDED_AS, attempts))
    trouble = in_trouble(held.c.channel).label("trouble")
    return select(held.c.id, held.c.attempt_count, trouble).add_cte(recorded.cte("recorded"))


_FINISH_AND_RECORD = {
    rescue: PreparedPostgresql(partial(finishing_at_once, rescue)) for rescue in (False, True)
}
"""The statements by whether the claims are rescues."""

_RECORDED_BEFORE = select(_a.notification_id, _a.number).join_from(
    _batch.rows,
    notification_attempts,
    and_(
        _a.notification_id == _batch.field("id"),
        _a.number == _batch.field("number", _a.number.type),
        _a.worker == _batch.field("worker"),
        _a.outcome == _batch.field("outcome"),
        # A process that ends an expired lease records the abandoned attempt under the worker's name.
        _a.outcome != AttemptOutcome.ABANDONED.value,
        not_(_a.late),
    ),
)
"""The outcomes that were already recorded for these claims, because the connection was lost before the commit
was acknowledged."""


def finish(transaction: Transaction, attempts: Sequence[Finished]) -> list[Recorded]:
    """Write each outcome and its attempt, and what they show about their channels.

    An outcome that is reported again changes nothing and returns the same result.
    """
    connection = transaction.connection
    tokens = [(attempt.claim.notification.id, attempt.claim.number) for attempt in attempts]
    first: dict[Token, Finished] = {}
    for token, attempt in zip(tokens, attempts, strict=True):
        first.setdefault(token, attempt)
    held: dict[Token, bool] = {}
    # Nearly always there is only one kind. Only repositories that share a database in one process can differ.
    for rescue in {attempt.claim.rescue for attempt in attempts}:
        ended = {token: attempt for token, attempt in first.items() if attempt.claim.rescue is rescue}
        held |= transaction.choose(_WRITE)(connection, ended, rescue)
    accepted = accept_successors(
        transaction, (s for token in held if (f := first.get(token)) for s in f.successors)
    )
    lost = {token: attempt for token, attempt in first.items() if token not in held}
    ours = held.keys() | _recorded_before(connection, lost)
    if any(attempt.outcome is AttemptOutcome.ABANDONED for attempt in attempts):
        notify_due(transaction)
    report(transaction, [attempt.report for attempt in attempts if attempt.report is not None])
    return [
        Recorded(
            token in ours and first[token] is attempt,
            held.get(token, False),
            [successor for successor in attempt.successors if successor.id in accepted],
        )
        for token, attempt in zip(tokens, attempts, strict=True)
    ]


def _write_on_sqlite(
    connection: Connection, attempts: Mapping[Token, Finished], rescue: bool
) -> dict[Token, bool]:
    delivered = {token: row for token, attempt in attempts.items() if (row := _delivery(attempt))}
    held = write_deliveries(connection, delivered) if delivered else {}
    if len(held) == len(attempts):
        return held
    rows = {token: _row(attempt) for token, attempt in attempts.items() if token not in held}
    finished = encoded(rows.values())
    held |= _held(_FINISH[rescue].execute(connection, finished=finished))
    late = encoded(place for place, token in enumerate(rows) if token not in held)
    _RECORD.execute(connection, finished=finished, late=late)
    return held


def _write_at_once(
    connection: Connection, attempts: Mapping[Token, Finished], rescue: bool
) -> dict[Token, bool]:
    # In order, so that two processes that write the same rows can't deadlock.
    ordered = sorted(attempts.items(), key=itemgetter(0))
    rows = [_row(attempt) for _, attempt in ordered]
    return _held(_FINISH_AND_RECORD[rescue].execute(connection, finished=encoded(rows)))


_WRITE = PerDatabase(sqlite=_write_on_sqlite, postgresql=_write_at_once)
"""Writes the outcomes and the attempts. Returns the tokens that held their rows, and whether the channel of
each is in trouble."""


def _recorded_before(connection: Connection, attempts: Mapping[Token, Finished]) -> set[Token]:
    if not attempts:
        return set()
    finished = encoded(map(_row, attempts.values()))
    return _tokens(connection.execute(_RECORDED_BEFORE, {"finished": finished}))


def _held(rows: Iterable[Sequence[Any]]) -> dict[Token, bool]:
    return {(row[0], row[1]): row[2] for row in rows}


def _tokens(rows: Iterable[Row[str, int]]) -> set[Token]:
    return {(notification_id, number) for notification_id, number in rows}


def _stored(error: str | None) -> str | None:
    return None if error is None else storable(error)


def _delivery(attempt: Finished) -> tuple[Stored, ...] | None:
    sent_at = attempt.transition.sent_at
    return None if sent_at is None else row_of(attempt.claim, attempt.duration, sent_at)


def _row(attempt: Finished) -> dict[str, Value]:
    claim, transition = attempt.claim, attempt.transition
    return {
        "id": claim.notification.id,
        "worker": claim.worker,
        "number": claim.number,
        # JSON is made of plain text twice as fast.
        "status": transition.status.value,
        "retry_count": transition.retry_count,
        "sent_at": transition.sent_at,
        "next_retry_at": transition.next_retry_at,
        "scheduled_at": transition.scheduled_at,
        "error": _stored(transition.error),
        "last_error": _stored(transition.last_error),
        "abandoned_count": claim.notification.abandoned_count + transition.abandoned,
        "wait_count": transition.wait_count,
        "waiting_since": transition.waiting_since or claim.notification.waiting_since,
        "started_at": claim.started_at,
        "duration": attempt.duration.total_seconds(),
        "outcome": attempt.outcome.value,
        "attempt_error": _stored(attempt.error),
        "channel": claim.notification.channel,
    }
