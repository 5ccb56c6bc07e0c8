"""Successors of a dead letter: an alert about it, or the same notification for another channel, accepted in
the same transaction.

Each has an idempotency key. The first process that writes a key accepts the notification, and the others
change nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet

from storage.engine.per_database import PerDatabase
from storage.engine.transaction import Transaction
from storage.models import Death, Notification
from storage.operations.accept import ACCEPTED_FIELDS, insert_unless_known
from storage.operations.notify import notify_due
from storage.schema.tables import notification_events
from storage.sql.dialects import INSERTS
from storage.sql.json_rows import encoded

Successors = Callable[[Death], Sequence[Notification]]
"""Returns the notifications to accept because another has died. It must not fail."""

_FIELDS = (*ACCEPTED_FIELDS, "status", "rescue_at", "origin_id", "tried_channels")

_ACCEPT = PerDatabase(
    sqlite=insert_unless_known(INSERTS["sqlite"](notification_events), _FIELDS),
    postgresql=insert_unless_known(INSERTS["postgresql"](notification_events), _FIELDS),
)


def no_successors(_death: Death) -> Sequence[Notification]:
    return ()


def accept_successors(transaction: Transaction, successors: Iterable[Notification]) -> AbstractSet[str]:
    """Accept those whose idempotency keys are new, and return their ids."""
    # In order, so that two processes with the same keys can't deadlock.
    in_order = sorted(successors, key=lambda n: n.idempotency_key or "")
    if not in_order:
        return frozenset()
    rows = encoded({field: getattr(n, field) for field in _FIELDS} for n in in_order)
    accepted = transaction.connection.execute(transaction.choose(_ACCEPT), {"rows": rows}).scalars()
    ids = frozenset(accepted)
    notify_due(transaction)
    return ids
