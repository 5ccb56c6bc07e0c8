"""The reasons why a database can be read but not changed, and the error for callers that try."""

from dataclasses import dataclass
from enum import Enum, auto

from storage.errors import DatabaseReadOnlyError, SchemaIncompleteError


class ReadOnlyReason(Enum):
    SCHEMA_INCOMPLETE = auto()
    """Part of our schema is missing, and must not or can't be added by this user."""
    STANDBY = auto()
    """The server itself is read-only."""
    NO_PRIVILEGE = auto()
    """This user may not write the table of notifications."""


@dataclass(frozen=True, slots=True)
class ReadOnly:
    """The state of a database that can only be read."""

    reason: ReadOnlyReason
    missing_parts: int = 0
    """How many parts of the schema an incomplete one lacks."""

    def error(self, location: str) -> DatabaseReadOnlyError:
        """A new error for a caller that wants to change the database at `location`."""
        match self.reason:
            case ReadOnlyReason.SCHEMA_INCOMPLETE:
                return SchemaIncompleteError(
                    f"the database {location} lacks {self.missing_parts} parts of this program's schema and "
                    "can only be read until certctl-mcp migrate adds them"
                )
            case ReadOnlyReason.STANDBY:
                return DatabaseReadOnlyError(
                    f"the database {location} is read-only, perhaps a standby, so nothing can be changed; "
                    "name the primary"
                )
            case ReadOnlyReason.NO_PRIVILEGE:
                return DatabaseReadOnlyError(
                    f"the database {location} allows this user to read notifications, not to change them"
                )
