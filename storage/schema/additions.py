"""Adds columns that a table lacks. A database may already have any of them."""

from collections.abc import Iterable

from sqlalchemy import Column, Connection, inspect
from sqlalchemy.schema import CreateColumn


def add_missing(connection: Connection, columns: Iterable[Column[object]]) -> None:
    for column in missing_columns(connection, columns):
        add_column(connection, column)


def missing_columns(connection: Connection, columns: Iterable[Column[object]]) -> list[Column[object]]:
    """The columns that their tables lack, in order."""
    wanted = list(columns)
    inspector = inspect(connection)
    present = {
        (table, found["name"])
        for table in {column.table.name for column in wanted}
        for found in inspector.get_columns(table)
    }
    return [column for column in wanted if (column.table.name, column.name) not in present]


def add_column(connection: Connection, column: Column[object], default: str | None = None) -> None:
    """`default`: the value of rows that don't set the column, as SQL."""
    definition = str(CreateColumn(column).compile(dialect=connection.dialect))
    if default is not None:
        definition += f" DEFAULT {default}"
    connection.exec_driver_sql(f"ALTER TABLE {column.table.name} ADD COLUMN {definition}")
