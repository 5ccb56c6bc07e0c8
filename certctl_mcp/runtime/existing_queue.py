"""The check that there is a queue where the settings say, for whoever only reads: a reader creates nothing.

A mistyped database would otherwise be an empty queue, and its dead letters nobody's.
"""

from collections.abc import Mapping

from certctl_mcp.config.secret_files import OF_VARIABLE
from certctl_mcp.config.settings import Settings
from storage.errors import MissingQueueError
from storage.maintenance.queue_state import queue_state

_URL = "CERTCTL_DATABASE_URL"


async def require_queue(settings: Settings, environ: Mapping[str, str]) -> None:
    """Raises: MissingQueueError; StorageError: the database can't be read."""
    found = await queue_state(settings.database_url.get_secret_value())
    if not found.has_queue:
        raise MissingQueueError(
            f"no queue at {found.location} ({_source(settings, environ)}); nothing was created"
        )


def _source(settings: Settings, environ: Mapping[str, str]) -> str:
    for variable in (_URL, _URL + OF_VARIABLE):
        if environ.get(variable, "").strip():
            return f"from {variable}"
    if "database_url" in settings.model_fields_set:
        return "from the settings file"
    return f"the default; {_URL} names another"
