"""One statement for many rows, which are passed as a single JSON parameter.

There is one bound value and one step for any number of rows: `executemany` would release and acquire the
interpreter's lock for each. The text of the statement never varies, so it is compiled and prepared once.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic_core import PydanticSerializationError, to_json
from sqlalchemy import Column, ColumnElement, Integer, TableValuedAlias, Text, bindparam, literal_column
from sqlalchemy.types import TypeEngine

from storage.sql.dialects import json_field, json_rows, json_text
from storage.sql.types import sortable

Value = str | int | float | bool | datetime | None

_TEXT = Text()


def encoded(rows: Iterable[Mapping[str, Value] | str | int]) -> str:
    """The value of a `Batch`'s parameter."""
    stored = [row if isinstance(row, str | int) else as_stored(row) for row in rows]
    try:
        return to_json(stored).decode()
    except PydanticSerializationError:
        # It rejects lone surrogates, which no database stores but a search may contain.
        return json.dumps(stored)


class Batch:
    """The rows of a JSON parameter, to select from."""

    def __init__(self, parameter: str) -> None:
        self.rows: TableValuedAlias = json_rows(bindparam(parameter, type_=Text)).table_valued(
            "value", name=parameter
        )

    @property
    def values(self) -> ColumnElement[str]:
        """The rows themselves, if each is a string."""
        return json_text(self.rows.c.value)

    @property
    def place(self) -> ColumnElement[int]:
        """The place of each row in the parameter, from 0. Only on SQLite."""
        return literal_column(f"{self.rows.name}.key", Integer)

    def field(self, name: str, type_: TypeEngine[Any] = _TEXT) -> ColumnElement[Any]:
        return json_field(self.rows.c.value, name, type_)

    def fields(self, columns: Iterable[Column[Any]]) -> list[ColumnElement[Any]]:
        """A field for each column, of its name and type."""
        return [self.field(column.name, column.type).label(column.name) for column in columns]


def as_stored(row: Mapping[str, Value]) -> dict[str, Value]:
    """The values as SQLite stores them."""
    return {name: sortable(value) if isinstance(value, datetime) else value for name, value in row.items()}
