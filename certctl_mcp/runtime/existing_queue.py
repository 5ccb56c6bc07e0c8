"""Checks that the configured database has a queue, for processes that only read and therefore create nothing.

Otherwise a mistyped URL would look like an empty queue, without dead letters.
"""

from certctl_mcp.config.secret_files import VARIABLE_SUFFIX
from certctl_mcp.config.settings import Settings
from storage.errors import MissingQueueError
from storage.maintenance.queue_state import queue_state

_URL = "CERTCTL_DATABASE_URL"


async def require_queue(settings: Settings) -> None:
    """Raises: MissingQueueError; StorageError: the database can't be read."""
    found = await queue_state(settings.database_url.get_secret_value())
    if not found.has_queue:
        raise MissingQueueError(
            f"no queue at {found.location} ({database_source(settings)}); nothing was created"
        )


def database_source(settings: Settings) -> str:
    """Which setting names the database, for a person who must correct it."""
    for variable in (_URL, _URL + VARIABLE_SUFFIX):
        if settings.origin.environ.get(variable, "").strip():
            return f"from {variable}"
    if "database_url" in settings.model_fields_set:
        return "from the settings file"
    return f"the default; {_URL} names another"
