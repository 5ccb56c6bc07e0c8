"""Limitations of a process: the reasons why it can't do everything, and their wording."""

from collections.abc import Mapping
from enum import StrEnum


class Limitation(StrEnum):
    """The reason why a process can't do everything."""

    SCHEMA_INCOMPLETE = "schema_incomplete"
    DATABASE_READ_ONLY = "database_read_only"
    CERTCTL_DELIVERS = "certctl_delivers"
    """The database is certctl's own, and this process only watches."""
    DELIVERY_DISABLED = "delivery_disabled"
    """The settings leave deliveries to another process."""


# None of these contains the database's location, because anyone may read them.
_CHANGES = "deliveries, sending, requeueing, marking as read and purging"
LIMITATION_TEXTS: Mapping[Limitation, str] = {
    Limitation.SCHEMA_INCOMPLETE: f"{_CHANGES}: the database lacks part of this program's schema; "
    "its operator can run certctl-mcp migrate",
    Limitation.DATABASE_READ_ONLY: f"{_CHANGES}: the database can only be read",
    Limitation.CERTCTL_DELIVERS: "deliveries by this process: the database is certctl's own, so certctl's "
    "server delivers; CERTCTL_NOTIFICATION_DELIVER=rescue takes over what it leaves",
    Limitation.DELIVERY_DISABLED: "deliveries by this process: its operator leaves them to another process",
}
