"""Last step of an attempt: its outcome is written, if its claim still holds the notification.

The outcome of a lease that was lost is refused: it changes nothing but the record of that attempt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter

from sqlalchemy import Table, select, update

from storage.batches import Batch, Value, encoded
from storage.dialects import INSERTS, Insert
from storage.leases import held_by
from storage.models import AttemptOutcome, Claim, NotificationStatus
from storage.notices import tell_due
from storage.tables import notification_attempts, notification_events
from storage.texts import storable
from storage.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Transition:
    """What an outcome writes to the notification."""

    status: NotificationStatus
    retry_count: int
    sent_at: datetime | None = None
    next_retry_at: datetime | None = None
    error: str | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt that came to its end, and what follows from it."""

    claim: Claim
    duration: timedelta
    outcome: AttemptOutcome
    error: str | None
    transition: Transition


_n = notification_events.c
_a = notification_attempts.c
_WRITTEN = (_n.status, _n.retry_count, _n.sent_at, _n.next_retry_at, _n.error, _n.last_error)
_RECORDED = (_a.number, _a.started_at, _a.duration, _a.outcome, _a.worker, _a.late, _a.channel)

_batch = Batch("finished")
_FINISH = (
    update(notification_events)
    .where(held_by(_batch))
    .values(
        {column.name: _batch.field(column.name, column.type) for column in _WRITTEN}
        | {"lease_owner": None, "lease_expires_at": None, "claimed_at": None}
    )
    .returning(_n.id, _n.attempt_count)
)


def _recording(insert: Callable[[Table], Insert]) -> Insert:
    recorded = insert(notification_attempts).from_select(
        ["notification_id", "error", *(column.name for column in _RECORDED)],
        select(_n.id, _batch.field("attempt_error"), *_batch.fields(_RECORDED))
        .join_from(_batch.rows, notification_events, _n.id == _batch.field("id"))
        # Nobody deletes it before its attempt is written.
        .with_for_update(key_share=True, read=True, of=notification_events),
    )
    return recorded.on_conflict_do_update(
        index_elements=["notification_id", "number"],
        set_={name: recorded.excluded[name] for name in ("duration", "outcome", "error", "late")},
        # An outcome reported twice stays as it was recorded first.
        where=_a.outcome == AttemptOutcome.ABANDONED.value,
    )


_RECORD = {dialect: _recording(insert) for dialect, insert in INSERTS.items()}


def finish(transaction: Transaction, attempts: Sequence[Finished]) -> list[bool]:
    """Write each outcome and its attempt; False where the lease was lost and the outcome refused."""
    connection = transaction.connection
    first: dict[tuple[str, int], Finished] = {}
    for attempt in attempts:
        first.setdefault(_token(attempt), attempt)
    # In one order, whoever writes some of the same: then nobody waits for who waits for him.
    rows = [_row(attempt) for _, attempt in sorted(first.items(), key=itemgetter(0))]
    # The rows are locked by being written, so what is recorded of each is what was decided.
    answers = connection.execute(_FINISH, {"finished": encoded(rows)})
    held = {(notification_id, number) for notification_id, number in answers}
    recorded = encoded(row | {"late": (row["id"], row["number"]) not in held} for row in rows)
    connection.execute(_RECORD[connection.dialect.name], {"finished": recorded})
    if any(attempt.outcome is AttemptOutcome.ABANDONED for attempt in attempts):
        tell_due(connection)
    return [_token(attempt) in held and first[_token(attempt)] is attempt for attempt in attempts]


def _token(attempt: Finished) -> tuple[str, int]:
    return attempt.claim.notification.id, attempt.claim.number


def _stored(error: str | None) -> str | None:
    return None if error is None else storable(error)


def _row(attempt: Finished) -> dict[str, Value]:
    claim, transition = attempt.claim, attempt.transition
    return {
        "id": claim.notification.id,
        "worker": claim.worker,
        "number": claim.number,
        "status": transition.status,
        "retry_count": transition.retry_count,
        "sent_at": transition.sent_at,
        "next_retry_at": transition.next_retry_at,
        "error": _stored(transition.error),
        "last_error": _stored(transition.last_error),
        "started_at": claim.started_at,
        "duration": attempt.duration.total_seconds(),
        "outcome": attempt.outcome,
        "attempt_error": _stored(attempt.error),
        "channel": claim.notification.channel,
    }
