"""The counts of notifications by channel and status, kept by triggers, so that they are exact whoever writes.

On SQLite, where writers take turns, the triggers update one row for each group. On PostgreSQL that would make
writers wait for each other until they commit. So each statement inserts the differences that it made; a count
is the sum of its rows, and `storage/operations/counts.py` replaces many rows by their sums.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, text

from storage.schema.tables import notification_counts, notification_events

FUNCTION_NAME = "certctl_mcp_count"

_GROUP = "channel, status, undelivered"
_UNDELIVERED = "{0}status = 'sent' AND {0}sent_at IS NULL"


def _function(schema: str) -> str:
    """The function of PostgreSQL's triggers.

    It runs as its owner, because a program that writes notifications may have no privileges for the counts.
    Therefore its names must not depend on the caller's search path.
    """
    counts = f"{schema}.{notification_counts.name}"
    inserting = f"INSERT INTO {counts} ({_GROUP}, number)"
    row = f"channel, status, {_UNDELIVERED.format('')} AS undelivered"
    return f"""
CREATE OR REPLACE FUNCTION {FUNCTION_NAME}() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
      BEGIN
        -- Unlike DELETE, it removes every row, whatever the transaction can see.
        TRUNCATE {counts};
      EXCEPTION WHEN object_in_use THEN
        -- The same TRUNCATE has emptied it.
        DELETE FROM {counts};
      END;
  END CASE;
  RETURN NULL;
END
$$
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

TRIGGERS: Mapping[str, Mapping[str, str]] = {"sqlite": _ON_SQLITE, "postgresql": _ON_POSTGRESQL}
"""For each dialect, the triggers by name."""

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

_KEPT: Mapping[str, str] = {
    "sqlite": "(SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = '{table}'"
    " AND name IN ({names})) = {number}",
    "postgresql": "(SELECT count(*) FROM pg_catalog.pg_trigger WHERE tgrelid = to_regclass('{table}')"
    " AND tgname IN ({names}) AND tgenabled IN ('O', 'A')) = {number}",
}
KEPT: Mapping[str, str] = {
    dialect: condition.format(
        table=notification_events.name,
        names=", ".join(f"'{name}'" for name in TRIGGERS[dialect]),
        number=len(TRIGGERS[dialect]),
    )
    for dialect, condition in _KEPT.items()
}
"""For each dialect, the condition that every trigger exists. Otherwise the counts may be wrong."""


def begin_counting(connection: Connection, schema: str) -> None:
    """Create the triggers, and count what there is. `schema`: where the table of counts is.

    Creating a trigger locks the notifications against writes until the transaction ends, so nothing is missed
    in between.
    """
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.exec_driver_sql(_function(connection.dialect.identifier_preparer.quote_identifier(schema)))
        # Otherwise a trigger on anyone's table could change the counts with it.
        connection.exec_driver_sql(f"REVOKE ALL ON FUNCTION {FUNCTION_NAME}() FROM PUBLIC")
    for name, trigger in TRIGGERS[dialect].items():
        on_table = f" ON {notification_events.name}" if dialect == "postgresql" else ""
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}{on_table}")
        connection.exec_driver_sql(f"CREATE TRIGGER {name} {trigger}")
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
