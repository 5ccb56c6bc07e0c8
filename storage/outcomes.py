"""Last step of an attempt: its outcome is written, if its claim still holds the notification.

The outcome of a lease that was lost is refused: it changes nothing but the record of that attempt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import exists, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

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
_RECORDED = (
    "notification_id",
    "number",
    "started_at",
    "duration",
    "outcome",
    "error",
    "worker",
    "late",
    "channel",
)

_batch = Batch("finished")
_FINISH = (
    update(notification_events)
    .where(held_by(_batch))
    .values(
        {name: _batch.field(name) for name in _WRITTEN}
        | {"lease_owner": None, "lease_expires_at": None, "claimed_at": None}
    )
    .returning(_n.id)
)

_attempts = Batch("attempts")
_insert = insert(notification_attempts).from_select(
    list(_RECORDED),
    select(*_attempts.fields(*_RECORDED))
    .select_from(_attempts.rows)
    .where(exists().where(_n.id == _attempts.field("notification_id"))),
)
_RECORD = _insert.on_conflict_do_update(
    index_elements=["notification_id", "number"],
    set_={name: _insert.excluded[name] for name in ("duration", "outcome", "error", "late")},
    # An outcome reported twice stays as it was recorded first.
    where=notification_attempts.c.outcome == AttemptOutcome.ABANDONED.value,
)


async def finish(connection: AsyncConnection, attempts: Sequence[Finished]) -> list[bool]:
    """Write each outcome and its attempt; False where the lease was lost and the outcome refused."""
    rows = {"finished": encoded(_written(attempt) for attempt in attempts)}
    held = set((await connection.execute(_FINISH, rows)).scalars())
    answers = [attempt.claim.notification.id in held for attempt in attempts]
    records = (
        _recorded(attempt, late=not on_time) for attempt, on_time in zip(attempts, answers, strict=True)
    )
    await connection.execute(_RECORD, {"attempts": encoded(records)})
    return answers


def _written(attempt: Finished) -> dict[str, Value]:
    row: dict[str, Value] = {name: getattr(attempt.transition, name) for name in _WRITTEN}
    claim = attempt.claim
    return row | {"id": claim.notification.id, "worker": claim.worker, "number": claim.number}


def _recorded(attempt: Finished, *, late: bool) -> dict[str, Value]:
    return {
        "notification_id": attempt.claim.notification.id,
        "number": attempt.claim.number,
        "started_at": attempt.claim.started_at,
        "duration": attempt.duration.total_seconds(),
        "outcome": attempt.outcome,
        "error": attempt.error,
        "worker": attempt.claim.worker,
        "late": late,
        "channel": attempt.claim.notification.channel,
    }
