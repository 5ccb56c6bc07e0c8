"""A cache of compiled statements, shared by all tests of a run.

Every test opens its own database, and SQLAlchemy would compile each statement again for every engine, which
takes much of a short test's time.

Engines of one kind can share compiled statements, because dialects of one class produce the same SQL.
"""

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

_COMPILED: dict[Any, Any] = {}


def share_compiled_statements() -> None:
    registry.register("postgresql.asyncpg", __name__, AsyncpgDialect.__name__)
    registry.register("sqlite.pysqlite", __name__, PysqliteDialect.__name__)


class _SharedCache:
    """A dialect that equals all others of its class, so that they share the cache."""

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        engine.update_execution_options(compiled_cache=_COMPILED)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class AsyncpgDialect(_SharedCache, PGDialect_asyncpg):
    supports_statement_cache = True


class PysqliteDialect(_SharedCache, SQLiteDialect_pysqlite):
    supports_statement_cache = True
