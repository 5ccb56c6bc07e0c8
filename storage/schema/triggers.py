"""Triggers that keep what is derived from other rows right, whichever program writes these."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger for one kind of database."""

    name: str
    table: str
    definition: str
    """What follows the name in CREATE TRIGGER."""


PerDialect = Mapping[str, Sequence[Trigger]]


def emptying(table: str) -> str:
    """Statements of a function of PostgreSQL that leave no row in a table, for a TRUNCATE of another table.

    The same TRUNCATE may name this table too, and has then emptied it. DELETE alone would leave the rows that
    the transaction can't see.
    """
    return f"""BEGIN
        TRUNCATE {table};
      EXCEPTION WHEN object_in_use THEN
        DELETE FROM {table};
      END;"""


def create_function(connection: Connection, name: str, definition: str) -> None:
    """Create a function that runs as its owner, for triggers alone.

    It runs so because a program that writes notifications may have no privileges for what is derived. If
    others could use it, a trigger on anyone's table could change that.
    """
    connection.exec_driver_sql(
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql"
        f" SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$\n{definition}\n$$"
    )
    connection.exec_driver_sql(f"REVOKE ALL ON FUNCTION {name}() FROM PUBLIC")


def create_triggers(connection: Connection, triggers: Iterable[Trigger]) -> None:
    """Create them or replace those of the same name.

    On PostgreSQL this waits for transactions that write to the tables, and makes others wait until this one
    ends, so nothing is missed in between.
    """
    for trigger in triggers:
        on_table = f" ON {trigger.table}" if connection.dialect.name == "postgresql" else ""
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {trigger.name}{on_table}")
        connection.exec_driver_sql(f"CREATE TRIGGER {trigger.name} {trigger.definition}")


_FIRING = {
    "sqlite": "sqlite_schema WHERE type = 'trigger' AND tbl_name = '{table}' AND name IN ({names})",
    "postgresql": "pg_catalog.pg_trigger WHERE tgrelid = to_regclass('{table}') AND tgname IN ({names})"
    " AND tgenabled IN ('O', 'A')",
}


def all_fire(dialect: str, triggers: Sequence[Trigger]) -> str:
    """The condition, as SQL, that every trigger exists and is enabled. Otherwise what they keep may be
    wrong."""
    names = defaultdict[str, list[str]](list)
    for trigger in triggers:
        names[trigger.table].append(f"'{trigger.name}'")
    return " AND ".join(
        f"(SELECT count(*) FROM {_FIRING[dialect].format(table=table, names=', '.join(of_table))})"
        f" = {len(of_table)}"
        for table, of_table in names.items()
    )
