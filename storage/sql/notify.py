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

FUNCTION = """
CREATE OR REPLACE FUNCTION certctl_mcp_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify(TG_ARGV[0], '');
  RETURN NULL;
END
$$
"""
_FOREIGN = f"current_setting('{SPOKEN_FOR}', true) IS DISTINCT FROM 'on'"
_OTHERWISE = "OLD.status IS DISTINCT FROM NEW.status"
TRIGGERS = {
    "certctl_mcp_accepted": f"""
        AFTER INSERT ON notification_events FOR EACH STATEMENT
        WHEN ({_FOREIGN}) EXECUTE FUNCTION certctl_mcp_tell('{DUE}')""",
    "certctl_mcp_due": f"""
        AFTER UPDATE OF status ON notification_events FOR EACH ROW
        WHEN ({_FOREIGN} AND NEW.status IN ('pending', 'failed') AND {_OTHERWISE})
        EXECUTE FUNCTION certctl_mcp_tell('{DUE}')""",
    "certctl_mcp_changed": f"""
        AFTER UPDATE OF status ON notification_events FOR EACH ROW
        WHEN ({_FOREIGN} AND NEW.status NOT IN ('pending', 'failed') AND {_OTHERWISE})
        EXECUTE FUNCTION certctl_mcp_tell('{CHANGED}')""",
}
"""By name: they tell what programs other than this one write, for certctl's server tells nobody."""

DUE_TOLD = select(func.pg_notify(literal(DUE), literal("")))
"""Wakes those who deliver, once the transaction is committed."""


def tell_due(connection: Connection) -> None:
    """Wake those who deliver, once this transaction is committed."""
    if connection.dialect.name == "postgresql":
        connection.execute(DUE_TOLD)
