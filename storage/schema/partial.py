"""How is a database read that has only a part of our schema, and may not be given the rest?

Where a statement reads a table, it is given the table with the columns that are missing: empty, or with
the default that they would have. A table that is missing has no rows.
"""

from collections import defaultdict
from typing import Any

from sqlalchemy import Column, Connection, Dialect, Table
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.errors import SchemaIncompleteError
from storage.schema.inspection import Missing, missing
from storage.schema.tables import notification_events


def left_as_it_is(
    connection: Connection, readers: AsyncEngine, location: str
) -> SchemaIncompleteError | None:
    """Have `readers` read what is there. Why nothing can be changed; None where all is there.

    Raises: SchemaIncompleteError: there is nothing to be read.
    """
    lacking = missing(connection)
    if not lacking:
        return None
    if notification_events in lacking.tables:
        raise SchemaIncompleteError(
            f"the database {location} has no table {notification_events.name}; run certctl-mcp migrate with "
            "a user that may create it"
        )
    read_partially(readers, lacking)
    return SchemaIncompleteError(
        f"the database {location} lacks {len(lacking.described)} parts of this program's schema; until "
        "certctl-mcp migrate adds them it is read, and nothing in it is changed"
    )


def read_partially(engine: AsyncEngine, missing: Missing) -> None:
    """Have `engine` read what is there, from here on."""
    dialect = engine.dialect
    columns: defaultdict[str, list[Column[object]]] = defaultdict(list)
    for column in missing.columns:
        columns[column.table.name].append(column)
    tables = {table.name for table in missing.tables}

    class Compiler(dialect.statement_compiler):  # type: ignore[name-defined, misc]
        def visit_table(self, table: Table, asfrom: bool = False, **options: Any) -> str:
            name: str = super().visit_table(table, asfrom=asfrom, **options)
            if not asfrom or not (table.name in tables or columns[table.name]):
                return name
            empty = tables if table.name in tables else columns[table.name]
            shown = ", ".join(
                _absent(column, dialect) if table.name in tables or column in empty else column.name
                for column in table.columns
            )
            source = "WHERE false" if table.name in tables else f"FROM {name}"
            rows = f"(SELECT {shown} {source})"
            aliased = getattr(options.get("enclosing_alias"), "element", None) is table
            return rows if aliased else f"{rows} AS {name}"

    dialect.statement_compiler = Compiler


def _absent(column: Column[object], dialect: Dialect) -> str:
    kind = dialect.type_compiler_instance.process(column.type)
    if column is notification_events.c.created_at:
        # As it is filled when it is added; of what was never sent nobody knows when it was accepted.
        return f"COALESCE(sent_at, CURRENT_TIMESTAMP) AS {column.name}"
    default = getattr(column.server_default, "arg", None)
    value = "NULL" if default is None else f"'{default}'"
    return f"CAST({value} AS {kind}) AS {column.name}"
