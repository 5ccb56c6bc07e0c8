"""The counts of notifications by channel and status, kept by triggers, so that they are exact whoever writes.

On SQLite, where writers take turns, the triggers update one row for each group. On PostgreSQL that would make
writers wait for each other until they commit. So each statement inserts the differences that it made; a count
is the sum of its rows, and `storage/operations/counts.py` replaces many rows by their sums.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, text

from storage.schema.location import qualified_name
from storage.schema.tables import notification_counts, notification_events
from storage.schema.triggers import (
    PerDialect,
    Trigger,
    all_fire,
    create_function,
    create_triggers,
    emptying,
)

FUNCTION_NAME = "certctl_mcp_count"

_GROUP = "channel, status, undelivered"
_UNDELIVERED = "{0}status = 'sent' AND {0}sent_at IS NULL"


def _function(counts: str) -> str:
    """What the function of PostgreSQL's triggers does. `counts` is the qualified name of the table."""
    inserting = f"INSERT INTO {counts} ({_GROUP}, number)"
    row = f"channel, status, {_UNDELIVERED.format('')} AS undelivered"
    return f"""
BEGIN
  CASE TG_OP
    WHEN 'UPDATE' THEN
      {inserting}
      SELECT {_GROUP}, sum(number) FROM (
        SELECT {row}, 1 AS number FROM added UNION ALL SELECT {row}, -1 FROM removed
      ) AS changed
      GROUP BY {_GROUP} HAVING sum(number) <> 0;
    WHEN 'INSERT' THEN
      {inserting} SELECT {row}, count(*) FROM added GROUP BY 1, 2, 3;
    WHEN 'DELETE' THEN
      {inserting} SELECT {row}, -count(*) FROM removed GROUP BY 1, 2, 3;
    ELSE
      {emptying(counts)}
  END CASE;
  RETURN NULL;
END
"""


_EXECUTING = f"ON {notification_events.name} {{}} FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTION_NAME}()"
_ON_POSTGRESQL = {
    "certctl_mcp_count_insert": "AFTER INSERT " + _EXECUTING.format("REFERENCING NEW TABLE AS added"),
    # A trigger for certain columns can't have transition tables.
    "certctl_mcp_count_update": "AFTER UPDATE "
    + _EXECUTING.format("REFERENCING OLD TABLE AS removed NEW TABLE AS added"),
    "certctl_mcp_count_delete": "AFTER DELETE " + _EXECUTING.format("REFERENCING OLD TABLE AS removed"),
    "certctl_mcp_count_truncate": "AFTER TRUNCATE " + _EXECUTING.format(""),
}

_ADD = f"""
  INSERT INTO {notification_counts.name} ({_GROUP}, number)
  VALUES (NEW.channel, NEW.status, {_UNDELIVERED.format("NEW.")}, 1)
  ON CONFLICT ({_GROUP}) DO UPDATE SET number = number + 1;"""
_REMOVE = f"""
  UPDATE {notification_counts.name} SET number = number - 1
  WHERE channel = OLD.channel AND status = OLD.status AND undelivered = ({_UNDELIVERED.format("OLD.")});"""
# INSERT OR REPLACE deletes rows without firing a trigger; this program doesn't use it.
_ON_SQLITE = {
    "certctl_mcp_count_insert": f"AFTER INSERT ON {notification_events.name} BEGIN{_ADD}\nEND",
    "certctl_mcp_count_update": f"AFTER UPDATE OF channel, status, sent_at ON {notification_events.name}"
    " WHEN OLD.channel IS NOT NEW.channel OR OLD.status IS NOT NEW.status"
    f" OR (OLD.sent_at IS NULL) <> (NEW.sent_at IS NULL) BEGIN{_REMOVE}{_ADD}\nEND",
    "certctl_mcp_count_delete": f"AFTER DELETE ON {notification_events.name} BEGIN{_REMOVE}\nEND",
}

TRIGGERS: PerDialect = {
    dialect: tuple(Trigger(name, notification_events.name, sql) for name, sql in definitions.items())
    for dialect, definitions in (("sqlite", _ON_SQLITE), ("postgresql", _ON_POSTGRESQL))
}

_LACKING = f"""
SELECT {_GROUP}, CAST(sum(number) AS BIGINT) AS number FROM (
  SELECT channel, status, {_UNDELIVERED.format("")} AS undelivered, count(*) AS number
  FROM {notification_events.name} GROUP BY 1, 2, 3
  UNION ALL
  SELECT {_GROUP}, -number FROM {notification_counts.name}
) AS differing
GROUP BY {_GROUP} HAVING sum(number) <> 0
"""
_INSERT = f"""
INSERT INTO {notification_counts.name} ({_GROUP}, number) VALUES (:channel, :status, :undelivered, :number)
"""
_ADD_TO: Mapping[str, str] = {
    "sqlite": f"{_INSERT} ON CONFLICT ({_GROUP}) DO UPDATE SET number = number + excluded.number",
    "postgresql": _INSERT,
}

KEPT: Mapping[str, str] = {dialect: all_fire(dialect, triggers) for dialect, triggers in TRIGGERS.items()}
"""For each dialect, the condition that the counts are right."""


def begin_counting(connection: Connection) -> None:
    """Create the triggers, and count what there is."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        create_function(connection, FUNCTION_NAME, _function(qualified_name(connection, notification_counts)))
    create_triggers(connection, TRIGGERS[dialect])
    correct_counts(connection)


def correct_counts(connection: Connection) -> None:
    """Count the rows, and add to the counts what they lack.

    It sees rows and counts at the same moment, and later changes add their own differences, so it needs no
    lock on PostgreSQL.
    """
    # A separate statement, because PostgreSQL counts in parallel only in a query.
    lacking = connection.execute(text(_LACKING)).mappings().all()
    if lacking:
        connection.execute(text(_ADD_TO[connection.dialect.name]), [dict(row) for row in lacking])
