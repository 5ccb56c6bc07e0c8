"""What would a migration change, and what has it changed? For an operator who wants to know before."""

from dataclasses import dataclass

from storage.database import Database, way_to
from storage.engine.driver_errors import explained
from storage.schema.migrations import REVISIONS


@dataclass(frozen=True, slots=True)
class Migration:
    """Of one database. Nothing but `added` is changed, and nothing is taken away."""

    location: str
    found_revision: str | None
    """None where the schema was none of ours."""
    added: tuple[str, ...]
    """A line for each part of the schema that was missing."""


async def planned(url: str) -> Migration:
    """What `migrated` would do; nothing is changed, not even a file created.

    Raises: StorageError.
    """
    way = way_to(url)
    with explained(way.shown):
        revision, lacking = await way.lacking()
    # Of a schema of the newest revision nothing is looked at when it is opened.
    return Migration(way.shown, revision, () if revision == REVISIONS[-1] else lacking.described)


async def migrated(url: str) -> Migration:
    """Create the database's schema, or add what it lacks. Raises: StorageError."""
    plan = await planned(url)
    async with Database.open(url) as database:
        if database.unchangeable is not None:
            raise database.unchangeable
    return plan
