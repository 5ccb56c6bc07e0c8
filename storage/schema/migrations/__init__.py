"""Is the schema the one this program speaks? If not, Alembic's revisions bring it there, in-process.

Revisions are idempotent: each adds what is missing, whatever part of it a database already has.
"""

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Connection, func, inspect, literal, select, text

from storage.errors import DatabaseTooNewError

if TYPE_CHECKING:
    from alembic.config import Config

REVISIONS = ("0001", "0002", "0003")
"""Every revision, oldest first. Known here so that a start on a current schema need not load Alembic."""

VERSION_TABLE = "certctl_mcp_version"

LOCK_TIMEOUT = "10s"

_LOCK = 0x6365727463746C
"""The number of the lock that those take who migrate: `certctl` in ASCII."""

# Alembic keeps the database that it migrates in a variable of its own: another one's would be changed.
_ONE_AT_A_TIME = Lock()


def bring_up_to_date(connection: Connection) -> None:
    """Migrate if needed. Servers that start together take turns; the later ones find the work done.

    Raises:
        DatabaseTooNewError: the schema comes from a later version of this program.
    """
    with connection.begin():
        _take_turns(connection)
        if current_revision(connection) != REVISIONS[-1]:
            from alembic import command

            with _ONE_AT_A_TIME:
                command.upgrade(_config(connection), "head")


def _take_turns(connection: Connection) -> None:
    """On SQLite the transaction itself keeps others out."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(literal(_LOCK, BigInteger))))
        # Other programs wait behind a change of the table that waits: it is given up soon.
        connection.execute(select(func.set_config("lock_timeout", LOCK_TIMEOUT, True)))


def current_revision(connection: Connection) -> str | None:
    """The schema's revision, or None where this program has never migrated it.

    Raises:
        DatabaseTooNewError: the revision is none of ours.
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
