"""What do SQLite and PostgreSQL say in different words? Elements that each database is told in its own.

Everything else is one statement for both.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, String, Table, Text, literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import TypeEngine

from storage.tables import UtcDateTime, Words

Insert = sqlite.Insert | postgresql.Insert

INSERTS: Mapping[str, Callable[[Table], Insert]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
"""An insert that can say what to do where the row is there, by the name of the dialect."""


def _process(element: FunctionElement[Any], compiler: SQLCompiler, options: dict[str, Any]) -> list[str]:
    return [compiler.process(clause, **options) for clause in element.clauses]


class json_rows(FunctionElement[Any]):  # noqa: N801 - these are named as they read in a statement
    """The elements of a JSON array, as rows with the one column `value`."""

    inherit_cache = True


@compiles(json_rows, "sqlite")
def _json_rows_sqlite(element: json_rows, compiler: SQLCompiler, **options: Any) -> str:
    (array,) = _process(element, compiler, options)
    return f"json_each({array})"


@compiles(json_rows, "postgresql")
def _json_rows_postgresql(element: json_rows, compiler: SQLCompiler, **options: Any) -> str:
    (array,) = _process(element, compiler, options)
    return f"jsonb_array_elements(CAST({array} AS JSONB))"


class json_text(FunctionElement[str]):  # noqa: N801
    """A JSON string as text."""

    type = Text()
    inherit_cache = True


@compiles(json_text, "sqlite")
def _json_text_sqlite(element: json_text, compiler: SQLCompiler, **options: Any) -> str:
    (value,) = _process(element, compiler, options)
    return value


@compiles(json_text, "postgresql")
def _json_text_postgresql(element: json_text, compiler: SQLCompiler, **options: Any) -> str:
    (value,) = _process(element, compiler, options)
    return f"({value} #>> '{{}}')"


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


class unindexed(FunctionElement[str]):  # noqa: N801
    """A column of which SQLite shall not think that an index is worth using: it has no figures to compare
    them by, and guesses. PostgreSQL has them."""

    type = String()
    inherit_cache = True


@compiles(unindexed, "sqlite")
def _unindexed_sqlite(element: unindexed, compiler: SQLCompiler, **options: Any) -> str:
    (column,) = _process(element, compiler, options)
    return f"+{column}"


@compiles(unindexed, "postgresql")
def _unindexed_postgresql(element: unindexed, compiler: SQLCompiler, **options: Any) -> str:
    (column,) = _process(element, compiler, options)
    return column


class waits_as(FunctionElement[bool]):  # noqa: N801
    """The status is this one, a literal, as the indexes say it that hold only those that wait so."""

    inherit_cache = True

    def __init__(self, column: ColumnElement[str], status: str) -> None:
        super().__init__(column, literal_column(f"'{status}'"))


@compiles(waits_as, "sqlite")
def _waits_sqlite(element: waits_as, compiler: SQLCompiler, **options: Any) -> str:
    column, status = _process(element, compiler, options)
    return f"{column} = {status}"


@compiles(waits_as, "postgresql")
def _waits_postgresql(element: waits_as, compiler: SQLCompiler, **options: Any) -> str:
    column, status = _process(element, compiler, options)
    return f"({column} = {status}) IS TRUE"


class _In(FunctionElement[bool]):
    """How a moment of one group compares to another moment; that it is of the group is also to be asked for.

    PostgreSQL has two indexes that hold the moment, and thinks the one without the group as good. It can't
    take that for a comparison of both at once.
    """

    inherit_cache = True
    sign: str

    def __init__(
        self, group: ColumnElement[str], value: ColumnElement[str], moment: ColumnElement[Any], other: Any
    ) -> None:
        super().__init__(group, value, moment, other)


class until_in(_In):  # noqa: N801
    """At or before."""

    inherit_cache = True
    sign = "<="


class after_in(_In):  # noqa: N801
    """Later."""

    inherit_cache = True
    sign = ">"


@compiles(until_in, "sqlite")
@compiles(after_in, "sqlite")
def _in_sqlite(element: _In, compiler: SQLCompiler, **options: Any) -> str:
    _group, _value, moment, other = _process(element, compiler, options)
    return f"({moment} IS NOT NULL AND {moment} {element.sign} {other})"


@compiles(until_in, "postgresql")
@compiles(after_in, "postgresql")
def _in_postgresql(element: _In, compiler: SQLCompiler, **options: Any) -> str:
    group, value, moment, other = _process(element, compiler, options)
    return f"(({group}, {moment}) {element.sign} ({value}, {other}))"


class milliseconds_between(FunctionElement[int]):  # noqa: N801
    """From the first moment to the second, rounded."""

    type = BigInteger()
    inherit_cache = True


@compiles(milliseconds_between, "sqlite")
def _milliseconds_sqlite(element: milliseconds_between, compiler: SQLCompiler, **options: Any) -> str:
    earlier, later = _process(element, compiler, options)
    return f"CAST(round((julianday({later}) - julianday({earlier})) * 86400000) AS INTEGER)"


@compiles(milliseconds_between, "postgresql")
def _milliseconds_postgresql(element: milliseconds_between, compiler: SQLCompiler, **options: Any) -> str:
    earlier, later = _process(element, compiler, options)
    return f"CAST(round(extract(epoch FROM {later} - {earlier}) * 1000) AS BIGINT)"


class at_present(FunctionElement[Any]):  # noqa: N801
    """The moment of a statement: the one that it is given or, where a database has a clock of its own and is
    given none, the one at which it is told the statement."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(at_present, "sqlite")
def _at_present_sqlite(element: at_present, compiler: SQLCompiler, **options: Any) -> str:
    (given,) = _process(element, compiler, options)
    return given


@compiles(at_present, "postgresql")
def _at_present_postgresql(element: at_present, compiler: SQLCompiler, **options: Any) -> str:
    (given,) = _process(element, compiler, options)
    return f"COALESCE({given}, statement_timestamp())"


class hour_of(FunctionElement[Any]):  # noqa: N801
    """What moments of one hour have in common."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(hour_of, "sqlite")
def _hour_sqlite(element: hour_of, compiler: SQLCompiler, **options: Any) -> str:
    (moment,) = _process(element, compiler, options)
    return f"substr({moment}, 1, {len('2026-01-01T00')})"


@compiles(hour_of, "postgresql")
def _hour_postgresql(element: hour_of, compiler: SQLCompiler, **options: Any) -> str:
    (moment,) = _process(element, compiler, options)
    return f"date_trunc('hour', {moment}, 'UTC')"


class begins(FunctionElement[bool]):  # noqa: N801
    """The text begins with the second one; the third sorts after all that do."""

    inherit_cache = True


@compiles(begins, "sqlite")
def _begins_sqlite(element: begins, compiler: SQLCompiler, **options: Any) -> str:
    # A range, not LIKE: that has its own signs, and is served by an index only under conditions.
    text, beginning, beyond = _process(element, compiler, options)
    return f"({text} >= {beginning} AND {text} < {beyond})"


@compiles(begins, "postgresql")
def _begins_postgresql(element: begins, compiler: SQLCompiler, **options: Any) -> str:
    # Where words are put in the order of a language, what begins alike need not stand together. The planner
    # knows beforehand which order it is, and takes only one side of the OR.
    text, beginning, beyond = _process(element, compiler, options)
    within = f"{text} >= {beginning} AND {text} < {beyond}"
    return f"(starts_with({text}, {beginning}) AND ('a' < 'B' OR ({within})))"


class ending(FunctionElement[str]):  # noqa: N801
    """The last characters of a text, as many as the second says."""

    type = Words()
    inherit_cache = True


@compiles(ending, "sqlite")
def _ending_sqlite(element: ending, compiler: SQLCompiler, **options: Any) -> str:
    text, length = _process(element, compiler, options)
    return f"substr({text}, -{length})"


@compiles(ending, "postgresql")
def _ending_postgresql(element: ending, compiler: SQLCompiler, **options: Any) -> str:
    text, length = _process(element, compiler, options)
    return f"right({text}, {length})"
