"""Migrates on request, or lists what a migration would add."""

from dataclasses import dataclass

from storage.database import Database, backend_for
from storage.engine.driver_errors import storage_errors
from storage.schema.migrations import REVISIONS, VERSION_TABLE


@dataclass(frozen=True, slots=True)
class Migration:
    """What a migration adds to a database. It changes and removes nothing."""

    location: str
    found_revision: str | None
    """The revision before the migration; None if the schema was not ours."""
    added: tuple[str, ...]
    """One line for each part of the schema that was missing."""


async def planned(url: str) -> Migration:
    """What `migrated` would do. Nothing is changed, and no file is created.

    Raises: StorageError.
    """
    backend = backend_for(url)
    with storage_errors(backend.location):
        state = await backend.inspect()
    # A schema of the newest revision is not inspected when it is opened, so nothing would be added to it.
    added = () if state.revision == REVISIONS[-1] else state.missing.described
    if state.revision is None:
        added = (*added, f"table {VERSION_TABLE}")
    return Migration(backend.location, state.revision, added)


async def migrated(url: str) -> Migration:
    """Create the database's schema, or add what it lacks. Raises: StorageError."""
    plan = await planned(url)
    async with Database.open(url) as database:
        if database.read_only is not None:
            raise database.read_only.error(database.location)
    return plan
