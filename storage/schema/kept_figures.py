"""Figures of past hours and days, kept aside so that a report needn't read every attempt.

Triggers drop the figures of an hour, and of its day, when a row changes that they were counted from, whoever
changes it. `storage/operations/keep_figures.py` has the other half of the rule: how a process adds figures
without missing a change that another transaction has yet to commit.
"""

from collections.abc import Mapping

from sqlalchemy import Connection

from storage.schema.location import qualified_name
from storage.schema.tables import notification_attempts, notification_events, notification_figures
from storage.schema.triggers import (
    PerDialect,
    Trigger,
    all_fire,
    create_function,
    create_triggers,
    emptying,
)

HOUR, DAY = 1, 24
"""The hours that the figures of one row cover. Hours and days begin at round times in UTC."""

FUNCTION_NAME = "certctl_mcp_drop_figures"

_A, _N, _F = notification_attempts.name, notification_events.name, notification_figures.name

# The columns that figures are counted from.
_OF_ATTEMPT = ("notification_id", "number", "started_at", "duration", "outcome", "late", "channel")
_ABANDONED = ("attempt_count", "abandoned_count")


def _on_attempts(differ: str) -> str:
    """An update of an attempt that may change figures, with the operator for `differ`."""
    old, new = (", ".join(f"{row}.{column}" for column in _OF_ATTEMPT) for row in ("OLD", "NEW"))
    return f"({old}) {differ} ({new})"


def _on_notifications(differ: str) -> str:
    """The same for a notification. Every claim changes the number of attempts, which matters only once some
    were abandoned."""
    old, new = (", ".join(f"{row}.{column}" for column in _ABANDONED) for row in ("OLD", "NEW"))
    return (
        f"OLD.created_at {differ} NEW.created_at OR"
        f" ((OLD.abandoned_count > 0 OR NEW.abandoned_count > 0) AND ({old}) {differ} ({new}))"
    )


def _function(attempts: str, figures: str) -> str:
    """What the function of PostgreSQL's triggers does, with the qualified names of the tables."""

    def hour(moment: str) -> str:
        return f"date_trunc('hour', {moment}, 'UTC')"

    # If an attempt appears or disappears, a later one of the same notification may become a retry, or the
    # first.
    def later(row: str, what: str) -> str:
        return (
            f"SELECT {what} FROM {attempts} AS later"
            f" WHERE later.notification_id = {row}.notification_id AND later.number > {row}.number"
        )

    periods = f"""(
      ({HOUR}, changed + interval '1 hour'),
      ({DAY}, date_trunc('day', changed, 'UTC') + interval '24 hours')
    )"""
    drop = f"DELETE FROM {figures} WHERE (hours, ends_at) IN {periods};"
    return f"""
DECLARE
  -- Some transactions don't see figures that were added since they began.
  sees_all CONSTANT boolean := current_setting('transaction_isolation') LIKE 'read %';
  first timestamptz;
  all_changed timestamptz[];
  changed timestamptz;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    {emptying(figures)}
    RETURN NULL;
  ELSIF TG_OP = 'INSERT' THEN
    SELECT min(started_at) INTO first FROM added;
    PERFORM FROM {figures} WHERE hours IN ({HOUR}, {DAY}) AND ends_at > first LIMIT 1;
    IF sees_all AND NOT FOUND THEN
      -- Nearly always.
      RETURN NULL;
    END IF;
    all_changed := ARRAY(
      SELECT {hour("started_at")} FROM added
      UNION SELECT {hour("later_start")} FROM added, LATERAL ({later("added", "later.started_at")})
        AS made (later_start)
    );
  ELSIF TG_ARGV[0] = '{_N}' THEN
    all_changed := ARRAY(SELECT DISTINCT {hour("started_at")} FROM {attempts} WHERE notification_id = NEW.id);
  ELSE
    all_changed := {hour("OLD.started_at")} || ARRAY({later("OLD", hour("later.started_at"))});
    IF TG_OP = 'UPDATE' THEN
      all_changed := {hour("NEW.started_at")} || all_changed
        || ARRAY({later("NEW", hour("later.started_at"))});
    END IF;
  END IF;
  FOREACH changed IN ARRAY all_changed LOOP
    {drop}
    IF NOT sees_all THEN
      -- If there are figures that it doesn't see, it fails here, and can be repeated.
      INSERT INTO {figures} (hours, ends_at, begins_at)
        SELECT hours, ends_at, ends_at - hours * interval '1 hour' FROM (VALUES {periods[1:-1]})
          AS periods (hours, ends_at)
        ON CONFLICT DO NOTHING;
      {drop}
    END IF;
  END LOOP;
  RETURN NULL;
END
"""


_EXECUTE = f"EXECUTE FUNCTION {FUNCTION_NAME}('{{table}}')"
_ON_POSTGRESQL = {
    # In the order in which other transactions lock the tables.
    _N: {
        "certctl_mcp_figures_notification": "AFTER UPDATE OF"
        f" created_at, {', '.join(_ABANDONED)} ON {{table}}"
        f" FOR EACH ROW WHEN ({_on_notifications('IS DISTINCT FROM')}) {_EXECUTE}",
    },
    _A: {
        # One call for a batch, in which most outcomes are written.
        "certctl_mcp_figures_insert": "AFTER INSERT ON {table} REFERENCING NEW TABLE AS added"
        f" FOR EACH STATEMENT {_EXECUTE}",
        "certctl_mcp_figures_update": "AFTER UPDATE ON {table} FOR EACH ROW"
        f" WHEN ({_on_attempts('IS DISTINCT FROM')}) {_EXECUTE}",
        "certctl_mcp_figures_delete": f"AFTER DELETE ON {{table}} FOR EACH ROW {_EXECUTE}",
        "certctl_mcp_figures_truncate": f"AFTER TRUNCATE ON {{table}} FOR EACH STATEMENT {_EXECUTE}",
    },
}


def _drop(moment: str, source: str = "") -> str:
    """SQLite's statements that drop the figures of the hours and days with these times. Another program may
    have written a time in another format, which sorts among the times of an hour all the same."""

    def end(hours: int) -> str:
        return (
            f"(SELECT CASE WHEN begins_at <= {moment} THEN ends_at END FROM {_F}"
            f" WHERE hours = {hours} AND ends_at > {moment} ORDER BY ends_at LIMIT 1)"
        )

    return "".join(
        f" DELETE FROM {_F} WHERE hours = {hours} AND ends_at"
        + (f" IN (SELECT {end(hours)} {source});" if source else f" = {end(hours)};")
        for hours in (HOUR, DAY)
    )


def _later(row: str, comparison: str = ">") -> str:
    return (
        f"FROM {_A} AS made WHERE made.notification_id = {row}.notification_id"
        f" AND made.number {comparison} {row}.number"
    )


def _attempts(row: str) -> str:
    return f"FROM {_A} AS made WHERE made.notification_id = {row}.id"


_ON_SQLITE = {
    _A: {
        "certctl_mcp_figures_insert": f"AFTER INSERT ON {{table}} BEGIN{_drop('NEW.started_at')} END",
        # Including the attempt itself, which INSERT OR REPLACE removes without firing the trigger for that.
        "certctl_mcp_figures_later": "BEFORE INSERT ON {table}"
        f" WHEN EXISTS (SELECT 1 {_later('NEW', '>=')})"
        f" BEGIN{_drop('made.started_at', _later('NEW', '>='))} END",
        "certctl_mcp_figures_update": f"AFTER UPDATE OF {', '.join(_OF_ATTEMPT)} ON {{table}}"
        f" WHEN {_on_attempts('IS NOT')} BEGIN{_drop('OLD.started_at')}{_drop('NEW.started_at')}"
        f"{_drop('made.started_at', _later('OLD'))}{_drop('made.started_at', _later('NEW'))} END",
        "certctl_mcp_figures_delete": "AFTER DELETE ON {table}"
        f" BEGIN{_drop('OLD.started_at')}{_drop('made.started_at', _later('OLD'))} END",
    },
    # Other programs may not have turned on foreign keys, and leave attempts without their notification.
    _N: {
        "certctl_mcp_figures_notification": "AFTER UPDATE OF"
        f" id, created_at, {', '.join(_ABANDONED)} ON {{table}}"
        f" WHEN OLD.id IS NOT NEW.id OR {_on_notifications('IS NOT')}"
        f" BEGIN{_drop('made.started_at', _attempts('OLD'))}{_drop('made.started_at', _attempts('NEW'))} END",
        "certctl_mcp_figures_left": "BEFORE DELETE ON {table}"
        f" BEGIN{_drop('made.started_at', _attempts('OLD'))} END",
        "certctl_mcp_figures_found": "AFTER INSERT ON {table}"
        f" WHEN EXISTS (SELECT 1 {_attempts('NEW')}) BEGIN{_drop('made.started_at', _attempts('NEW'))} END",
    },
}

TRIGGERS: PerDialect = {
    dialect: tuple(
        Trigger(name, table, template.format(table=table))
        for table, triggers in templates.items()
        for name, template in triggers.items()
    )
    for dialect, templates in (("sqlite", _ON_SQLITE), ("postgresql", _ON_POSTGRESQL))
}

_READABLE: Mapping[str, str] = {
    "sqlite": f"EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '{_F}')",
    "postgresql": f"coalesce(has_table_privilege(to_regclass('{_F}'), 'SELECT'), false)",
}
KEPT: Mapping[str, str] = {
    dialect: f"{all_fire(dialect, triggers)} AND {_READABLE[dialect]}"
    for dialect, triggers in TRIGGERS.items()
}
"""For each dialect, the condition that the figures are right and can be read."""


def begin_keeping(connection: Connection) -> None:
    """Create the triggers, and drop what was kept without them."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        attempts, figures = (
            qualified_name(connection, table) for table in (notification_attempts, notification_figures)
        )
        create_function(connection, FUNCTION_NAME, _function(attempts, figures))
    create_triggers(connection, TRIGGERS[dialect])
    connection.exec_driver_sql(f"DELETE FROM {_F}")
