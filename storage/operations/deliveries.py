"""Deliveries on SQLite: the most frequent outcome, written by two short statements.

They get only the values that differ between deliveries, and leave unchanged columns alone. The statements for
all outcomes take more than twice the processor time."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, literal, select, true, update

from storage.models import AttemptOutcome, Claim, NotificationStatus
from storage.operations.attempt_records import recording
from storage.operations.channel_states import IN_TROUBLE
from storage.operations.leases import WAITING, held_by
from storage.schema.tables import notification_attempts, notification_events
from storage.sql.dialects import INSERTS
from storage.sql.json_rows import ArrayBatch, Stored, encoded_arrays
from storage.sql.prepared import Prepared
from storage.sql.types import sortable

Token = tuple[str, int]
"""A notification's id and the number of the claim. No number is used twice for one notification."""

_n = notification_events.c
_a = notification_attempts.c

_RECORDED = (_a.number, _a.channel, _a.started_at, _a.duration, _a.worker)
_batch = ArrayBatch("delivered", ["id", "sent_at", *(column.name for column in _RECORDED)])

_FINISH = Prepared(
    update(notification_events)
    .where(held_by(_batch), WAITING)
    .values(
        status=NotificationStatus.SENT.value,
        sent_at=_batch.field("sent_at"),
        error=None,
        next_retry_at=None,
        scheduled_at=None,
        rescue_at=None,
        wait_count=0,
        lease_owner=None,
        lease_expires_at=None,
        claimed_at=None,
    )
    # RETURNING doesn't qualify its columns, so within a subquery this one would be another table's.
    .returning(_n.id, _n.attempt_count, _n.channel.in_(IN_TROUBLE).label("trouble"))
)
_RECORD = Prepared(
    recording(
        INSERTS["sqlite"](notification_attempts).from_select(
            ["notification_id", *(column.name for column in _RECORDED), "outcome"],
            select(
                _batch.field("id"),
                *_batch.fields(_RECORDED),
                literal(AttemptOutcome.SENT.value),
            )
            .select_from(_batch.rows)
            .where(true()),
        )
    )
)


def row_of(claim: Claim, duration: timedelta, sent_at: datetime) -> tuple[Stored, ...]:
    """The row of a batch for this delivery."""
    return (
        claim.notification.id,
        sortable(sent_at),
        claim.number,
        claim.notification.channel,
        sortable(claim.started_at),
        duration.total_seconds(),
        claim.worker,
    )


def write_deliveries(connection: Connection, rows: Mapping[Token, tuple[Stored, ...]]) -> dict[Token, bool]:
    """Write the deliveries whose claims still hold, and their attempts.

    Returns the tokens of these claims, and whether the channel of each is in trouble.
    """
    delivered = encoded_arrays(list(rows.values()))
    finished = _FINISH.execute(connection, delivered=delivered)
    held = {(row[0], row[1]): row[2] for row in finished}
    if len(held) < len(rows):
        delivered = encoded_arrays([row for token, row in rows.items() if token in held])
    _RECORD.execute(connection, delivered=delivered)
    return held
