"""What do SQLite and PostgreSQL say in different words? Elements that each database is told in its own.

Everything else is one statement for both.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from sqlalchemy import BigInteger, ColumnElement, String, Table, Text, literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import TypeEngine

from storage.sql.types import UtcDateTime, Words

Insert = sqlite.Insert | postgresql.Insert

INSERTS: Mapping[str, Callable[[Table], Insert]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
"""An insert that can say what to do where the row is there, by the name of the dialect."""


class _InItsWords(FunctionElement[Any]):
    """Told to each database by its template, where {0} and so on are the parts."""

    on_sqlite: ClassVar[str]
    on_postgresql: ClassVar[str]


@compiles(_InItsWords)
def _in_its_words(element: _InItsWords, compiler: SQLCompiler, **options: Any) -> str:
    template = getattr(element, f"on_{compiler.dialect.name}")
    return str(template.format(*_process(element, compiler, options)))


def _process(element: FunctionElement[Any], compiler: SQLCompiler, options: dict[str, Any]) -> list[str]:
    return [compiler.process(clause, **options) for clause in element.clauses]


class json_rows(_InItsWords):  # noqa: N801 - these are named as they read in a statement
    """The elements of a JSON array, as rows with the one column `value`."""

    inherit_cache = True
    on_sqlite = "json_each({0})"
    on_postgresql = "jsonb_array_elements(CAST({0} AS JSONB))"


class json_text(_InItsWords):  # noqa: N801
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


class unindexed(_InItsWords):  # noqa: N801
    """A column of which SQLite shall not think that an index is worth using: it has no figures to compare
    them by, and guesses. PostgreSQL has them."""

    type = String()
    inherit_cache = True
    on_sqlite = "+{0}"
    on_postgresql = "{0}"


class waits_as(_InItsWords):  # noqa: N801
    """The status is this one, a literal, as the indexes say it that hold only those that wait so."""

    inherit_cache = True
    on_sqlite = "{0} = {1}"
    on_postgresql = "({0} = {1}) IS TRUE"

    def __init__(self, column: ColumnElement[str], status: str) -> None:
        super().__init__(column, literal_column(f"'{status}'"))


class _In(_InItsWords):
    """How a moment of one group compares to another moment; that it is of the group is also to be asked for.

    PostgreSQL has two indexes that hold the moment, and thinks the one without the group as good. It can't
    take that for a comparison of both at once.
    """

    inherit_cache = True

    def __init__(
        self, group: ColumnElement[str], value: ColumnElement[str], moment: ColumnElement[Any], other: Any
    ) -> None:
        super().__init__(group, value, moment, other)


class until_in(_In):  # noqa: N801
    """At or before."""

    inherit_cache = True
    on_sqlite = "({2} IS NOT NULL AND {2} <= {3})"
    on_postgresql = "(({0}, {2}) <= ({1}, {3}))"


class after_in(_In):  # noqa: N801
    """Later."""

    inherit_cache = True
    on_sqlite = "({2} IS NOT NULL AND {2} > {3})"
    on_postgresql = "(({0}, {2}) > ({1}, {3}))"


class milliseconds_between(_InItsWords):  # noqa: N801
    """From the first moment to the second, rounded."""

    type = BigInteger()
    inherit_cache = True
    on_sqlite = "CAST(round((julianday({1}) - julianday({0})) * 86400000) AS INTEGER)"
    on_postgresql = "CAST(round(extract(epoch FROM {1} - {0}) * 1000) AS BIGINT)"


class at_present(_InItsWords):  # noqa: N801
    """The moment of a statement: the one that it is given or, where a database has a clock of its own and is
    given none, the one at which it is told the statement."""

    type = UtcDateTime()
    inherit_cache = True
    on_sqlite = "{0}"
    on_postgresql = "COALESCE({0}, statement_timestamp())"


class hour_of(_InItsWords):  # noqa: N801
    """What moments of one hour have in common."""

    type = UtcDateTime()
    inherit_cache = True
    on_sqlite = f"substr({{0}}, 1, {len('2026-01-01T00')})"
    on_postgresql = "date_trunc('hour', {0}, 'UTC')"


class begins(_InItsWords):  # noqa: N801
    """The text begins with the second one; the third sorts after all that do."""

    inherit_cache = True
    # A range, not LIKE: that has its own signs, and is served by an index only under conditions.
    on_sqlite = "({0} >= {1} AND {0} < {2})"
    # Where words are put in the order of a language, what begins alike need not stand together. The planner
    # knows beforehand which order it is, and takes only one side of the OR.
    on_postgresql = "(starts_with({0}, {1}) AND ('a' < 'B' OR ({0} >= {1} AND {0} < {2})))"


class ending(_InItsWords):  # noqa: N801
    """The last characters of a text, as many as the second says."""

    type = Words()
    inherit_cache = True
    on_sqlite = "substr({0}, -{1})"
    on_postgresql = "right({0}, {1})"
