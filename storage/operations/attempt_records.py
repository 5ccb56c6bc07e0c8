"""The records of attempts, which are written together with the outcomes."""

from storage.models import AttemptOutcome
from storage.schema.tables import notification_attempts
from storage.sql.dialects import Insert


def recording(insert: Insert) -> Insert:
    """Insert these records. An existing record is replaced only if it says that the attempt was abandoned;
    otherwise the outcome that was reported first stays."""
    return insert.on_conflict_do_update(
        index_elements=["notification_id", "number"],
        set_={name: insert.excluded[name] for name in ("duration", "outcome", "error", "late")},
        where=notification_attempts.c.outcome == AttemptOutcome.ABANDONED.value,
    )
