"""One statement for many rows, which are passed as a single JSON parameter.

There is one bound value and one step for any number of rows: `executemany` would release and acquire the
interpreter's lock for each. The text of the statement never varies, so it is compiled and prepared once.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic_core import PydanticSerializationError, to_json
from sqlalchemy import Column, ColumnElement, Integer, TableValuedAlias, Text, bindparam, func, literal_column
from sqlalchemy.types import TypeEngine

from storage.sql.dialects import json_field, json_rows, json_text
from storage.sql.types import sortable

Stored = str | int | float | bool | None
Value = Stored | datetime

_TEXT = Text()


def encoded(rows: Iterable[Mapping[str, Value] | str | int]) -> str:
    """The value of a `Batch`'s parameter."""
    return _json([row if isinstance(row, str | int) else as_stored(row) for row in rows])


def encoded_arrays(rows: Collection[Sequence[Stored]]) -> str:
    """The value of an `ArrayBatch`'s parameter."""
    return _json(rows)


def _json(stored: Collection[Mapping[str, Value] | Sequence[Stored] | str | int]) -> str:
    try:
        return to_json(stored).decode()
    except PydanticSerializationError:
        # It rejects lone surrogates, which no database stores, but which a search may contain.
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
        """A field for each column, with its name and type."""
        return [self.field(column.name, column.type).label(column.name) for column in columns]


class ArrayBatch(Batch):
    """A batch on SQLite whose rows are arrays of what is stored. Without names SQLite parses it in half the
    time."""

    def __init__(self, parameter: str, fields: Sequence[str]) -> None:
        super().__init__(parameter)
        self._places = {name: place for place, name in enumerate(fields)}

    def field(self, name: str, type_: TypeEngine[Any] = _TEXT) -> ColumnElement[Any]:
        path = literal_column(f"'$[{self._places[name]}]'", Text)
        return func.json_extract(self.rows.c.value, path, type_=type_)


def as_stored(row: Mapping[str, Value]) -> dict[str, Value]:
    """The values as SQLite stores them."""
    return {name: sortable(value) if isinstance(value, datetime) else value for name, value in row.items()}
