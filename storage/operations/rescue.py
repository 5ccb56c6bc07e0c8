"""Takes over what certctl's server has left undelivered, while certctl continues to deliver.

certctl has no leases. It attempts what is `pending`, and what is `failed` with a `next_retry_at`; it sends
every notification that it has read, even if the row has changed since. It never again reads a row in another
state. So a notification taken over is `failed` without a `next_retry_at`, and is due at `rescue_at`.
"""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import bindparam, select, update

from storage.engine.transaction import Transaction
from storage.operations.due import PENDING, UNSCHEDULED
from storage.schema.tables import notification_events
from storage.sql.json_rows import Batch, encoded
from storage.sql.types import UtcDateTime

_n = notification_events.c

_left = (
    _n.channel.in_(select(Batch("channels").values)),
    _n.created_at <= bindparam("created_before", type_=UtcDateTime),
    _n.lease_owner.is_(None),
)
_TAKE_FAILED = (
    update(notification_events)
    .where(UNSCHEDULED, _n.rescue_at.is_(None), *_left)
    .values(rescue_at=bindparam("due_at", type_=UtcDateTime))
)
_TAKE_PENDING = (
    update(notification_events)
    .where(PENDING, *_left)
    .values(status="failed", next_retry_at=None, rescue_at=bindparam("due_at", type_=UtcDateTime))
)


def take_over(transaction: Transaction, channels: Collection[str], grace: timedelta) -> None:
    """Take over what certctl created more than `grace` ago and has not delivered.

    `grace` is how long certctl may take to send a notification after reading it. One that is `failed` is due
    at once, because its attempt has ended. certctl may have just read one that is `pending`. It then records
    the outcome within another `grace`, and only after that is the notification due.
    """
    now = transaction.now
    left = {"channels": encoded(channels), "created_before": now - grace}
    transaction.connection.execute(_TAKE_FAILED, {**left, "due_at": now})
    transaction.connection.execute(_TAKE_PENDING, {**left, "due_at": now + grace})
