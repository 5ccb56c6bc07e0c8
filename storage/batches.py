"""How does one statement apply to many rows? The rows travel as one JSON parameter and are joined to.

One bound value and one step, whatever the number of rows: stepping row by row would give up and take back
the interpreter's lock each time. The statement's text never varies, so it is compiled and prepared once.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, Function, TableValuedAlias, Text, bindparam, func, literal_column

from storage.tables import sortable

Value = str | int | float | bool | datetime | None


def encoded(rows: Iterable[Mapping[str, Value] | str]) -> str:
    """The value for a `Batch`'s parameter."""
    return _ENCODER.encode(list(rows))


class Batch:
    """The rows of one parameter, as something to select from."""

    def __init__(self, parameter: str) -> None:
        self.rows: TableValuedAlias = func.json_each(bindparam(parameter, type_=Text)).table_valued(
            "value", name=parameter
        )

    def field(self, name: str) -> "Function[str]":
        return func.json_extract(self.rows.c.value, literal_column(f"'$.{name}'"))

    def fields(self, *names: str) -> list[ColumnElement[str]]:
        return [self.field(name).label(name) for name in names]


def _moment(value: object) -> str:
    assert isinstance(value, datetime)
    return sortable(value)


# `json.dumps` with options makes an encoder for every call.
_ENCODER = json.JSONEncoder(default=_moment, separators=(",", ":"))
