"""Whether a database has a queue, without changing it."""

from dataclasses import dataclass

from storage.database import backend_for
from storage.engine.driver_errors import storage_errors
from storage.schema.tables import notification_events


@dataclass(frozen=True, slots=True)
class QueueState:
    """What a database contains, determined without creating or changing anything."""

    location: str
    """The URL or path, without secrets."""
    has_queue: bool
    """There is a table of notifications."""


async def queue_state(url: str) -> QueueState:
    """Raises: StorageError: the database can't be read."""
    backend = backend_for(url)
    with storage_errors(backend.location):
        state = await backend.inspect()
    return QueueState(backend.location, notification_events not in state.missing.tables)
