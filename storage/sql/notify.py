"""PostgreSQL notifications between processes, for when something is due or has changed.

SQLite has no notifications; processes poll its `data_version` instead.
"""

from sqlalchemy import func, literal, select

DUE = "certctl_mcp_due"
"""The channel for "something may have become due", sent in the transaction that made it due."""

CHANGED = "certctl_mcp_changed"
"""The channel for "something else has changed"."""

ANNOUNCED_BY_US = "certctl_mcp.spoken_for"
"""A setting of our own transactions, which send their notifications themselves. The table's triggers send
them for changes by other programs."""

FUNCTION_NAME = "certctl_mcp_tell"
FUNCTION = f"""
CREATE OR REPLACE FUNCTION {FUNCTION_NAME}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify(TG_ARGV[0], '');
  RETURN NULL;
END
$$
"""
_BY_OTHERS = f"current_setting('{ANNOUNCED_BY_US}', true) IS DISTINCT FROM 'on'"
_STATUS_CHANGED = "OLD.status IS DISTINCT FROM NEW.status"
TRIGGERS = {
    "certctl_mcp_accepted": f"""
        AFTER INSERT ON notification_events FOR EACH STATEMENT
        WHEN ({_BY_OTHERS}) EXECUTE FUNCTION {FUNCTION_NAME}('{DUE}')""",
    "certctl_mcp_due": f"""
        AFTER UPDATE OF status ON notification_events FOR EACH ROW
        WHEN ({_BY_OTHERS} AND NEW.status IN ('pending', 'failed') AND {_STATUS_CHANGED})
        EXECUTE FUNCTION {FUNCTION_NAME}('{DUE}')""",
    "certctl_mcp_changed": f"""
        AFTER UPDATE OF status ON notification_events FOR EACH ROW
        WHEN ({_BY_OTHERS} AND NEW.status NOT IN ('pending', 'failed') AND {_STATUS_CHANGED})
        EXECUTE FUNCTION {FUNCTION_NAME}('{CHANGED}')""",
}
"""The triggers by name. They announce what other programs write; certctl's server sends no notifications."""

NOTIFY_DUE = select(func.pg_notify(literal(DUE), literal("")))
"""Wakes the processes that deliver, once the transaction is committed."""
