"""SQL elements that SQLite and PostgreSQL spell differently. All other SQL is the same for both."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ClassVar

from sqlalchemy import BigInteger, ColumnElement, String, Table, Text, literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import TypeEngine

from storage.sql.types import StorableText, UtcDateTime

Insert = sqlite.Insert | postgresql.Insert

INSERTS: Mapping[str, Callable[[Table], Insert]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
"""For each dialect, an insert that has an ON CONFLICT clause."""


class _Templated(FunctionElement[Any]):
    """Compiled from a template for each database, in which {0} and so on are the arguments."""

    on_sqlite: ClassVar[str]
    on_postgresql: ClassVar[str]


@compiles(_Templated)
def _from_template(element: _Templated, compiler: SQLCompiler, **options: Any) -> str:
    template = getattr(element, f"on_{compiler.dialect.name}")
    return str(template.format(*_process(element, compiler, options)))


def _process(element: FunctionElement[Any], compiler: SQLCompiler, options: dict[str, Any]) -> list[str]:
    return [compiler.process(clause, **options) for clause in element.clauses]


class json_rows(_Templated):  # noqa: N801 - elements are named like SQL functions
    """The elements of a JSON array, as rows with a single column `value`."""

    inherit_cache = True
    on_sqlite = "json_each({0})"
    on_postgresql = "jsonb_array_elements(CAST({0} AS JSONB))"


class json_text(_Templated):  # noqa: N801
    """A JSON string as text."""

    type = Text()
    inherit_cache = True
    on_sqlite = "{0}"
    on_postgresql = "({0} #>> '{{}}')"


class json_field(FunctionElement[Any]):  # noqa: N801
    """A member of a JSON object, as a value of the type."""

    _traverse_internals = [  # noqa: RUF012 - as its base declares it
        *FunctionElement._traverse_internals,
        ("type", InternalTraversal.dp_type),
    ]

    def __init__(self, value: ColumnElement[Any], name: str, type_: TypeEngine[Any]) -> None:
        self.type = type_
        self.name = name
        super().__init__(value, literal_column(f"'{name}'"))


@compiles(json_field, "sqlite")
def _json_field_sqlite(element: json_field, compiler: SQLCompiler, **options: Any) -> str:
    value, name = _process(element, compiler, options)
    return f"json_extract({value}, '$.{name[1:]})"


@compiles(json_field, "postgresql")
def _json_field_postgresql(element: json_field, compiler: SQLCompiler, **options: Any) -> str:
    value, name = _process(element, compiler, options)
    kind = compiler.dialect.type_compiler_instance.process(element.type)
    return f"CAST({value} ->> {name} AS {kind})"


class unindexed(_Templated):  # noqa: N801
    """A column for which SQLite must not choose an index: it has no statistics, and would guess wrong.
    PostgreSQL has statistics."""

    type = String()
    inherit_cache = True
    on_sqlite = "+{0}"
    on_postgresql = "{0}"


class has_status(_Templated):  # noqa: N801
    """The status equals this literal, written as in the predicates of the partial indexes."""

    inherit_cache = True
    on_sqlite = "{0} = {1}"
    on_postgresql = "({0} = {1}) IS TRUE"

    def __init__(self, column: ColumnElement[str], status: str) -> None:
        super().__init__(column, literal_column(f"'{status}'"))


class _WithinGroup(_Templated):
    """Compares a time of one group with another time. The query must also have a condition on the group
    alone.

    PostgreSQL has two indexes on the time, and may choose the one without the group. It can't use that one
    for a comparison of the group and the time together.
    """

    inherit_cache = True

    def __init__(
        self, group: ColumnElement[str], value: ColumnElement[str], moment: ColumnElement[Any], other: Any
    ) -> None:
        super().__init__(group, value, moment, other)


class no_later_within(_WithinGroup):  # noqa: N801
    """The time of the group is at or before the other."""

    inherit_cache = True
    on_sqlite = "({2} IS NOT NULL AND {2} <= {3})"
    on_postgresql = "(({0}, {2}) <= ({1}, {3}))"


class later_within(_WithinGroup):  # noqa: N801
    """The time of the group is later than the other."""

    inherit_cache = True
    on_sqlite = "({2} IS NOT NULL AND {2} > {3})"
    on_postgresql = "(({0}, {2}) > ({1}, {3}))"


class milliseconds_between(_Templated):  # noqa: N801
    """The milliseconds from the first time to the second, rounded."""

    type = BigInteger()
    inherit_cache = True
    on_sqlite = "CAST(round((julianday({1}) - julianday({0})) * 86400000) AS INTEGER)"
    on_postgresql = "CAST(round(extract(epoch FROM {1} - {0}) * 1000) AS BIGINT)"


class seconds_between(_Templated):  # noqa: N801
    """The whole seconds from the first time, which has no fraction of a second, to the second time."""

    type = BigInteger()
    inherit_cache = True
    # Without the fraction, because SQLite rounds it to milliseconds.
    on_sqlite = (
        "(CAST(strftime('%s', substr({1}, 1, 19)) AS INTEGER)"
        " - CAST(strftime('%s', substr({0}, 1, 19)) AS INTEGER))"
    )
    on_postgresql = "CAST(floor(extract(epoch FROM {1} - {0})) AS BIGINT)"


class current_time(_Templated):  # noqa: N801
    """The time of a statement: its argument or, if that is NULL and the database has a clock, the time at
    which the database received it."""

    type = UtcDateTime()
    inherit_cache = True
    on_sqlite = "{0}"
    on_postgresql = "COALESCE({0}, statement_timestamp())"


def ahead(duration: timedelta) -> ColumnElement[str]:
    """The third argument of `beyond`. SQLite's date arithmetic rounds to milliseconds, so a second is
    added."""
    return literal_column(f"'+{duration // timedelta(seconds=1) + 1} seconds'")


class beyond(_Templated):  # noqa: N801
    """On SQLite, whether a time is later than another by more than the third argument, an SQLite time
    modifier. False on PostgreSQL, whose times all come from one clock."""

    inherit_cache = True
    on_sqlite = "{0} > strftime('%Y-%m-%dT%H:%M:%f', {1}, {2})"
    on_postgresql = "false"


class has_passed(_Templated):  # noqa: N801
    """A time has passed or, on SQLite, is so far ahead (`beyond`) that it must be wrong."""

    inherit_cache = True
    on_sqlite = f"({{0}} <= {{1}} OR {beyond.on_sqlite})"
    on_postgresql = "{0} <= {1}"


class hour_of(_Templated):  # noqa: N801
    """The time, truncated to the hour."""

    type = UtcDateTime()
    inherit_cache = True
    on_sqlite = f"substr({{0}}, 1, {len('2026-01-01T00')})"
    on_postgresql = "date_trunc('hour', {0}, 'UTC')"


class day_of(_Templated):  # noqa: N801
    """The day of the time in UTC, such as 2026-01-31."""

    type = String()
    inherit_cache = True
    on_sqlite = f"substr({{0}}, 1, {len('2026-01-01')})"
    on_postgresql = "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD')"


class starts_with(_Templated):  # noqa: N801
    """The text starts with the second argument; the third sorts after every text that does."""

    inherit_cache = True
    # A range, because LIKE has wildcards and uses an index only under some conditions.
    on_sqlite = "({0} >= {1} AND {0} < {2})"
    # With a linguistic collation, texts with the same start need not be neighbours. The planner evaluates the
    # comparison of 'a' and 'B' in advance, and keeps only one side of the OR.
    on_postgresql = "(starts_with({0}, {1}) AND ('a' < 'B' OR ({0} >= {1} AND {0} < {2})))"


class last_characters(_Templated):  # noqa: N801
    """The last characters of a text; the second argument is their number."""

    type = StorableText()
    inherit_cache = True
    on_sqlite = "substr({0}, -{1})"
    on_postgresql = "right({0}, {1})"
