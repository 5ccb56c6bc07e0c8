"""Last step of an attempt: its outcome is written, if its claim still holds the notification.

The outcome of a lease that was lost is refused: it changes nothing but the record of that attempt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, not_, select, update
from sqlalchemy.dialects.sqlite import insert

from storage.batches import Batch, Value, encoded
from storage.leases import held_by
from storage.models import AttemptOutcome, Claim, NotificationStatus
from storage.tables import notification_attempts, notification_events


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
_WRITTEN = ("status", "retry_count", "sent_at", "next_retry_at", "error", "last_error")
_RECORDED = ("started_at", "duration", "outcome", "worker", "channel")

_batch = Batch("finished")
_FINISH = (
    update(notification_events)
    .where(held_by(_batch))
    .values(
        {name: _batch.field(name) for name in _WRITTEN}
        | {"lease_owner": None, "lease_expires_at": None, "claimed_at": None}
    )
    .returning(_n.id, _n.attempt_count)
)
_insert = insert(notification_attempts).from_select(
    ["notification_id", "number", "error", "late", *_RECORDED],
    select(
        _n.id,
        _batch.field("number"),
        _batch.field("attempt_error"),
        not_(func.coalesce(held_by(_batch), False)),
        *_batch.fields(*_RECORDED),
    ).join_from(_batch.rows, notification_events, _n.id == _batch.field("id")),
)
_RECORD = _insert.on_conflict_do_update(
    index_elements=["notification_id", "number"],
    set_={name: _insert.excluded[name] for name in ("duration", "outcome", "error", "late")},
    # An outcome reported twice stays as it was recorded first.
    where=notification_attempts.c.outcome == AttemptOutcome.ABANDONED.value,
)


def finish(connection: Connection, attempts: Sequence[Finished]) -> list[bool]:
    """Write each outcome and its attempt; False where the lease was lost and the outcome refused."""
    first: dict[tuple[str, int], Finished] = {}
    for attempt in attempts:
        first.setdefault(_token(attempt), attempt)
    rows = {"finished": encoded(_row(attempt) for attempt in first.values())}
    connection.execute(_RECORD, rows)
    held = {(notification_id, number) for notification_id, number in connection.execute(_FINISH, rows)}
    return [_token(attempt) in held and first[_token(attempt)] is attempt for attempt in attempts]


def _token(attempt: Finished) -> tuple[str, int]:
    return attempt.claim.notification.id, attempt.claim.number


def storable(text: str) -> str:
    """An error may quote anything; NUL and lone surrogates would make its row unreadable."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


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
