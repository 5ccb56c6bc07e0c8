"""How do processes tell each other, on PostgreSQL, that there is something to do or to read again?

SQLite has no messages; there, `data_version` is looked at instead.
"""

from sqlalchemy import Connection, func, literal, select

DUE = "certctl_mcp_due"
"""Something may be due that was not. Sent within the transaction: who hears it finds it."""

CHANGED = "certctl_mcp_changed"
"""Something else has changed, for those who watch."""

SPOKEN_FOR = "certctl_mcp.spoken_for"
"""The setting of a transaction of ours, which tells by itself what it changes. The table's triggers tell
what other programs change."""

_DUE = select(func.pg_notify(literal(DUE), literal("")))


def tell_due(connection: Connection) -> None:
    """Wake those who deliver, once this transaction is committed."""
    if connection.dialect.name == "postgresql":
        connection.execute(_DUE)
