"""One statement for many rows, which are passed as a single JSON parameter.

One bound value and one step, however many rows there are: `executemany` would release and take the
interpreter's lock for each row. The text of the statement never varies, so it is compiled and prepared once.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, TableValuedAlias, Text, bindparam
from sqlalchemy.types import TypeEngine

from storage.sql.dialects import json_field, json_rows, json_text
from storage.sql.types import sortable

Value = str | int | float | bool | datetime | None

_TEXT = Text()


def encoded(rows: Iterable[Mapping[str, Value] | str]) -> str:
    """The value of a `Batch`'s parameter."""
    return _ENCODER.encode(list(rows))


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

    def field(self, name: str, type_: TypeEngine[Any] = _TEXT) -> ColumnElement[Any]:
        return json_field(self.rows.c.value, name, type_)

    def fields(self, columns: Iterable[Column[Any]]) -> list[ColumnElement[Any]]:
        """A field for each column, of its name and type."""
        return [self.field(column.name, column.type).label(column.name) for column in columns]


def _moment(value: object) -> str:
    assert isinstance(value, datetime)
    return sortable(value)


# `json.dumps` with options would create an encoder on every call.
_ENCODER = json.JSONEncoder(default=_moment, separators=(",", ":"))
