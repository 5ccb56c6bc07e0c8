"""The records of attempts, which are written together with the outcomes."""

from storage.models import AttemptOutcome
from storage.schema.tables import notification_attempts
from storage.sql.dialects import Insert


def recording(insert: Insert) -> Insert:
    """Insert these records. Of those that are there, only an abandoned attempt's is replaced: an outcome
    stays as it was reported first."""
    return insert.on_conflict_do_update(
        index_elements=["notification_id", "number"],
        set_={name: insert.excluded[name] for name in ("duration", "outcome", "error", "late")},
        where=notification_attempts.c.outcome == AttemptOutcome.ABANDONED.value,
    )
