"""Migrations: Alembic revisions that bring a schema up to date, run in-process.

Revisions are idempotent: each adds what is missing, whatever part of it a database already has.
"""

from enum import Enum, auto
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Connection, func, inspect, literal, select, text

from storage.errors import DatabaseTooNewError
from storage.schema.migrations.new_file import create_schema, is_new

if TYPE_CHECKING:
    from alembic.config import Config


class Migrate(Enum):
    """Whether opening a database may add to its schema."""

    ALWAYS = auto()
    ONCE_OURS = auto()
    """Yes, but if another program made the schema, not the first time."""
    OURS_ALONE = auto()
    """The same, and never if certctl's server uses the database."""
    NEVER = auto()

    def allows(self, *, foreign: bool, shared: bool) -> bool:
        """`foreign`: another program made the schema, and this one has never migrated it. `shared`: certctl's
        server uses it."""
        match self:
            case Migrate.ALWAYS:
                return True
            case Migrate.ONCE_OURS:
                return not foreign
            case Migrate.OURS_ALONE:
                return not (foreign or shared)
            case Migrate.NEVER:
                return False


REVISIONS = tuple(f"{number:04}" for number in range(1, 13))
"""Every revision, oldest first. Listed here so that opening a current schema does not import Alembic."""

VERSION_TABLE = "certctl_mcp_version"

LOCK_TIMEOUT = "10s"

_LOCK = 0x6365727463746C
"""The number of the advisory lock held during a migration: `certctl` in ASCII."""

# Alembic keeps its connection in a global variable, so two threads can't migrate at once.
_ONE_AT_A_TIME = Lock()


def bring_up_to_date(connection: Connection) -> None:
    """Migrate if needed. Servers that start together take turns, and the later ones have nothing to migrate.

    Raises:
        DatabaseTooNewError: the schema belongs to a newer version of this program.
    """
    with connection.begin():
        _take_turns(connection)
        if is_new(connection):
            create_schema(connection)
        elif current_revision(connection) != REVISIONS[-1]:
            run_revisions(connection)


def run_revisions(connection: Connection) -> None:
    """Run those that the schema doesn't have yet, within the connection's transaction."""
    from alembic import command

    with _ONE_AT_A_TIME:
        command.upgrade(_config(connection), "head")


def _take_turns(connection: Connection) -> None:
    """SQLite's write transaction already excludes other processes."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(literal(_LOCK, BigInteger))))
        # Other programs queue behind an ALTER TABLE that waits for its lock, so it must not wait for long.
        connection.execute(select(func.set_config("lock_timeout", LOCK_TIMEOUT, True)))


def current_revision(connection: Connection) -> str | None:
    """The schema's revision, or None if this program has never migrated it.

    Raises:
        DatabaseTooNewError: the revision is not one of ours.
    """
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    if revision is not None and revision not in REVISIONS:
        raise DatabaseTooNewError(
            f"the database's schema has revision {revision!r}, which this version of certctl-mcp does not "
            f"know (its newest is {REVISIONS[-1]!r}); upgrade certctl-mcp"
        )
    return revision


def _config(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
