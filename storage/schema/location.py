"""Where a table is: another program may have created it in any schema of PostgreSQL's search path."""

from sqlalchemy import Connection, Table, text


def schema_of(connection: Connection, table: Table) -> str:
    """The schema of an existing table."""
    if connection.dialect.name == "sqlite":
        return "main"
    found: str = connection.execute(
        text(
            "SELECT nspname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE pg_class.oid = to_regclass(:table)"
        ),
        {"table": table.name},
    ).scalar_one()
    return found


def qualified_name(connection: Connection, table: Table) -> str:
    """The name with its schema, as SQL, for statements that must not depend on the search path."""
    quoted = connection.dialect.identifier_preparer.quote_identifier
    return f"{quoted(schema_of(connection, table))}.{quoted(table.name)}"
