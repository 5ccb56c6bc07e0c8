"""On PostgreSQL, word of what other programs write: certctl's server on the same table tells nobody.

What this program writes it tells by itself, so the triggers leave it alone.
"""

from alembic import op

from storage.notices import CHANGED, DUE, SPOKEN_FOR

revision = "0003"
down_revision = "0002"

_FUNCTION = """
CREATE OR REPLACE FUNCTION certctl_mcp_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify(TG_ARGV[0], '');
  RETURN NULL;
END
$$
"""
_FOREIGN = f"current_setting('{SPOKEN_FOR}', true) IS DISTINCT FROM 'on'"
_OTHERWISE = "OLD.status IS DISTINCT FROM NEW.status"
_TRIGGERS = {
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


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(_FUNCTION)
    for name, trigger in _TRIGGERS.items():
        op.execute(f"DROP TRIGGER IF EXISTS {name} ON notification_events")
        op.execute(f"CREATE TRIGGER {name} {trigger}")
