"""Inspection of a database for missing parts of the schema. A certctl database already has most of it."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Column, Connection, Index, Table, inspect, text

from storage.schema import counting, kept_figures
from storage.schema.tables import DIALECT, metadata, notification_attempts, notification_events
from storage.sql import notify

_ANNOUNCING = {"sqlite": (), "postgresql": tuple(notify.TRIGGERS)}
_TABLE_OF_TRIGGER = {
    dialect: {
        **dict.fromkeys(announcing, notification_events.name),
        **{
            trigger.name: trigger.table
            for trigger in (*counting.TRIGGERS[dialect], *kept_figures.TRIGGERS[dialect])
        },
    }
    for dialect, announcing in _ANNOUNCING.items()
}
_FUNCTIONS = {
    "sqlite": (),
    "postgresql": (notify.FUNCTION_NAME, counting.FUNCTION_NAME, kept_figures.FUNCTION_NAME),
}


@dataclass(frozen=True, slots=True)
class Missing:
    """The parts that a database lacks."""

    tables: tuple[Table, ...] = ()
    columns: tuple[Column[object], ...] = ()
    """Missing columns of existing tables."""
    indexes: tuple[Index, ...] = ()
    functions: tuple[str, ...] = ()
    """The functions of the triggers."""
    triggers: tuple[str, ...] = ()
    """Each as `NAME on TABLE`."""

    def __bool__(self) -> bool:
        return any((self.tables, self.columns, self.indexes, self.functions, self.triggers))

    @property
    def described(self) -> tuple[str, ...]:
        """One line for each part, in the order in which a migration adds them."""
        return (
            *(f"table {table.name}" for table in self.tables),
            *(f"column {column.table.name}.{column.name}" for column in self.columns),
            *(f"index {index.name}" for index in self.indexes),
            *(f"function {name}" for name in self.functions),
            *(f"trigger {name}" for name in self.triggers),
        )


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The state of a database's schema: its revision and what it lacks."""

    revision: str | None
    """None if this program has never migrated it."""
    missing: Missing
    clock_ahead: timedelta | None = None
    """How far the database's clock is ahead of ours; None if it has no clock."""


def missing(connection: Connection) -> Missing:
    """The parts that `bring_up_to_date` would add."""
    present, dialect = inspect(connection), connection.dialect.name
    existing = [table for table in metadata.sorted_tables if present.has_table(table.name)]
    columns = {
        table.name: {column["name"] for column in present.get_columns(table.name)} for table in existing
    }
    indexes = {index["name"] for table in existing for index in present.get_indexes(table.name)}
    return Missing(
        tuple(table for table in metadata.sorted_tables if table not in existing),
        tuple(
            column for table in existing for column in table.columns if column.name not in columns[table.name]
        ),
        tuple(
            index
            for table in metadata.sorted_tables
            for index in sorted(table.indexes, key=lambda index: str(index.name))
            if index.name not in indexes and _is_for(connection, index)
        ),
        tuple(name for name in _FUNCTIONS[dialect] if not _has_function(connection, name)),
        tuple(
            f"{name} on {table}"
            for name, table in _TABLE_OF_TRIGGER[dialect].items()
            if name not in _triggers(connection)
        ),
    )


def has_queue(connection: Connection) -> bool:
    """Whether there is a table of notifications, whichever program created it."""
    return inspect(connection).has_table(notification_events.name)


def _is_for(connection: Connection, index: Index) -> bool:
    """Whether this kind of database needs the index: some differ between them."""
    return DIALECT not in index.info or index.info[DIALECT] == connection.dialect.name


def _triggers(connection: Connection) -> set[str]:
    names = {
        "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = :table",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(:table)",
    }[connection.dialect.name]
    return {
        name
        for table in (notification_events, notification_attempts)
        for name in connection.execute(text(names), {"table": table.name}).scalars()
    }


def _has_function(connection: Connection, name: str) -> bool:
    found: bool = connection.execute(
        text("SELECT to_regproc(:name) IS NOT NULL"), {"name": name}
    ).scalar_one()
    return found
