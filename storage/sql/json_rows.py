"""How does one statement apply to many rows? The rows travel as one JSON parameter and are joined to.

One bound value and one step, whatever the number of rows: stepping row by row would give up and take back
the interpreter's lock each time. The statement's text never varies, so it is compiled and prepared once.
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
    """The value for a `Batch`'s parameter."""
    return _ENCODER.encode(list(rows))


class Batch:
    """The rows of one parameter, as something to select from."""

    def __init__(self, parameter: str) -> None:
        self.rows: TableValuedAlias = json_rows(bindparam(parameter, type_=Text)).table_valued(
            "value", name=parameter
        )

    @property
    def values(self) -> ColumnElement[str]:
        """The rows themselves, where each is a text."""
        return json_text(self.rows.c.value)

    def field(self, name: str, type_: TypeEngine[Any] = _TEXT) -> ColumnElement[Any]:
        return json_field(self.rows.c.value, name, type_)

    def fields(self, columns: Iterable[Column[Any]]) -> list[ColumnElement[Any]]:
        """A field for each column, of its name and type."""
        return [self.field(column.name, column.type).label(column.name) for column in columns]


def _moment(value: object) -> str:
    assert isinstance(value, datetime)
    return sortable(value)


# `json.dumps` with options makes an encoder for every call.
_ENCODER = json.JSONEncoder(default=_moment, separators=(",", ":"))
