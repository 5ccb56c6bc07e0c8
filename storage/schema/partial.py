"""Reads a database with only part of our schema, where the rest must not be added.

Each query gets a CTE for every incomplete table, under the table's own name, which hides the table itself.
The CTE selects the existing columns and, for missing ones, NULL or their default; one for a missing table has
no rows. Views would do the same, but can't be created on a standby, by a user without privileges, or on a
schema that must not be changed.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    CTE,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Table,
    cast,
    event,
    func,
    null,
    select,
    text,
)
from sqlalchemy import column as named_column
from sqlalchemy import table as named_table
from sqlalchemy.sql.selectable import HasCTE

from storage.errors import SchemaIncompleteError
from storage.read_only import ReadOnly, ReadOnlyReason
from storage.schema.inspection import Missing, missing
from storage.schema.location import schema_of
from storage.schema.tables import notification_events


def read_incomplete_schema(connection: Connection, readers: Engine, location: str) -> ReadOnly | None:
    """Make `readers` work despite missing parts. Returns None if nothing is missing.

    Raises: SchemaIncompleteError: there is nothing to read.
    """
    absent = missing(connection)
    if not absent:
        return None
    if notification_events in absent.tables:
        raise SchemaIncompleteError(
            f"the database {location} has no table {notification_events.name}; run certctl-mcp migrate with "
            "a user that may create it"
        )
    read_partially(readers, absent, schema_of(connection, notification_events))
    return ReadOnly(ReadOnlyReason.SCHEMA_INCOMPLETE, len(absent.described))


_HIDDEN = "certctl_mcp_hidden_tables"
"""The execution option of an engine with the names of the tables that its queries don't see."""


def is_hidden(connection: Connection, table: Table) -> bool:
    """Whether queries see an empty table instead, even if another program has created it meanwhile."""
    return table.name in connection.engine.get_execution_options().get(_HIDDEN, ())


def read_partially(engine: Engine, missing: Missing, schema: str) -> None:
    """Add the CTEs to every later query of `engine`."""
    incomplete = {column.table for column in missing.columns}
    stand_ins = [
        *(_empty(table) for table in missing.tables),
        *(_completed(table, missing.columns, schema) for table in incomplete),
    ]

    hidden = frozenset(table.name for table in missing.tables)
    engine.update_execution_options(**{_HIDDEN: hidden})

    @event.listens_for(engine, "before_execute", retval=True)
    def add_stand_ins(
        _connection: Connection, query: Any, many: Any, parameters: Any, _options: Any
    ) -> tuple[Any, Any, Any]:
        if isinstance(query, HasCTE):
            query = query.add_cte(*stand_ins)
        return query, many, parameters


def _empty(table: Table) -> CTE:
    columns = (_absent(column).label(column.name) for column in table.columns)
    return select(*columns).where(text("1 = 0")).cte(table.name)


def _completed(table: Table, missing: Iterable[Column[Any]], schema: str) -> CTE:
    absent = set(missing)
    stored = named_table(table.name, *(named_column(c.name, c.type) for c in table.columns), schema=schema)
    columns = (
        _absent(column).label(column.name) if column in absent else stored.c[column.name]
        for column in table.columns
    )
    # So that a query that reads the table twice still uses its indexes.
    return select(*columns).select_from(stored).cte(table.name).prefix_with("NOT MATERIALIZED")


def _absent(column: Column[Any]) -> ColumnElement[Any]:
    if column is notification_events.c.created_at:
        # As the migration fills it; without a time of sending, the time of acceptance is unknown.
        return func.coalesce(named_column("sent_at", column.type), func.current_timestamp())
    default = getattr(column.server_default, "arg", None)
    return cast(null() if default is None else text(f"'{default}'"), column.type)
