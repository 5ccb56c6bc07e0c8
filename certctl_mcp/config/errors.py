"""Errors in the settings: one line that names the setting, its value and what is allowed.

A value is shown only if the field is known and isn't a secret: the value of a misspelt key may be a password.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from certctl_mcp.config.dead_letters import DeadLetterSettings
from certctl_mcp.config.destinations import Channel, Destination
from certctl_mcp.config.durations import format_duration
from certctl_mcp.config.environment import VARIABLES, Table
from certctl_mcp.config.http_settings import HttpSettings
from certctl_mcp.config.retention import RetentionSettings
from certctl_mcp.config.secret_files import KEY_SUFFIX, VARIABLE_SUFFIX, mentions_secret

Key = tuple[str, ...]
"""A setting's path in the settings file, such as `("channels", "Email", "host")`."""

CHANNEL_KEYS = sorted(Channel.model_fields.keys() - {"name", "destination"})
"""Keys of a channel's table that don't describe its destination."""

DESTINATIONS: Mapping[str, type[BaseModel]] = {
    model.model_fields["kind"].default: model for model in get_args(get_args(Destination)[0])
}

TABLES: Mapping[str, type[BaseModel]] = {
    "http": HttpSettings,
    "dead_letters": DeadLetterSettings,
    "retention": RetentionSettings,
}
"""The tables of the settings file that have a fixed set of keys."""

_DEPTHS = {"channels": 3, **dict.fromkeys(TABLES, 2)}
"""How many parts the key of a setting in a table has."""

_VALUE_LIMIT = 80


class SettingsError(Exception):
    """The configuration can't be used. `problems` has a line for each error to correct."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Origin:
    """Where the settings were read from, so that errors can use the names that the operator wrote."""

    environ: Mapping[str, str]
    file: Table
    path: Path | None
    options: Mapping[str, object] = field(default_factory=dict)
    """Settings given on the command line."""

    def name(self, key: Key) -> str:
        """The variable or the key of the file that set `key`, or that would set it."""
        if (variable := self._variable(key)) is not None:
            return variable
        *tables, last = key
        named_file = last + KEY_SUFFIX in (self._table(tables) or {})
        return ".".join(_toml_key(part) for part in (*tables, last + KEY_SUFFIX if named_file else last))

    def place(self, key: Key) -> str:
        """`name`, with the file unless it comes from the environment."""
        return self.name(key) if self._variable(key) else f"{self.path}: {self.name(key)}"

    def _variable(self, key: Key) -> str | None:
        variable = next((name for name, held in VARIABLES.items() if held == key), None)
        if variable is None:
            return None
        for name in (variable, variable + VARIABLE_SUFFIX):
            if self.environ.get(name, "").strip():
                return name
        # If the file has the table of `key`, the setting should be corrected there.
        return None if self._table(key[:-1] or key) is not None else variable

    def _table(self, key: Sequence[str]) -> Table | None:
        """The value of `key` in the file."""
        table: object = self.file
        for part in key:
            if not isinstance(table, dict) or part not in table:
                return None
            table = table[part]
        return table if isinstance(table, dict) else {}


def explain(error: ValidationError, settings: type[BaseModel], origin: Origin) -> list[str]:
    """A line for each wrong setting of the model `settings`."""
    lines: dict[Key, str] = {}
    for details in error.errors(include_url=False):
        # It follows from another error, which has its own line.
        if details["type"] != "default_factory_not_called":
            field = _field(details["loc"], settings)
            lines.setdefault(field.key, _line(details, field, origin))
    return list(lines.values())


@dataclass(frozen=True)
class _Field:
    """The key of an error, and the model that defines the keys beside it."""

    key: Key
    model: type[BaseModel]

    @property
    def info(self) -> FieldInfo | None:
        """None if the model has no such field, or the error is inside a field."""
        depth = _DEPTHS.get(self.key[0], 1)
        return self.model.model_fields.get(self.key[-1]) if len(self.key) == depth else None

    @property
    def siblings(self) -> list[str]:
        names = [str(field.validation_alias or name) for name, field in self.model.model_fields.items()]
        return [*names, *CHANNEL_KEYS] if self.key[0] == "channels" else names


def _field(loc: tuple[int | str, ...], settings: type[BaseModel]) -> _Field:
    match tuple(str(part) for part in loc):
        case ("channels", name, "destination", kind, *rest):
            # Deeper parts are members of a union, which the operator never wrote.
            return _Field(("channels", name, *rest[:2]), DESTINATIONS[kind])
        case ("channels", name, "destination"):
            return _Field(("channels", name, "kind"), Channel)
        case ("channels", name, *rest):
            return _Field(("channels", name, *rest), Channel)
        case (table, setting, *_) if table in TABLES:
            return _Field((table, setting), TABLES[table])
        case key:
            return _Field(key, settings)


def _line(details: ErrorDetails, field: _Field, origin: Origin) -> str:
    place = origin.place(field.key)
    match details["type"]:
        case "missing":
            return f"{place} is missing: the channel {_toml_key(field.key[1])} needs it"
        case "extra_forbidden":
            return f"{place} is not a setting: {_nearest(field)}"
        case "union_tag_not_found":
            return f"{place} is missing: must be one of {', '.join(DESTINATIONS)}"
        case "union_tag_invalid":
            return f"{place}={_quoted(details['ctx']['tag'])}: must be one of {', '.join(DESTINATIONS)}"
        case "value_error" if len(field.key) == 1 and (table := field.key[0]) in TABLES:
            return _with_setting_names(str(details["ctx"]["error"]), _Field((table,), TABLES[table]), origin)
        case "value_error" if field.key == ("channels",):
            error = details["ctx"]["error"]
            rule = _with_setting_names(str(error), _Field(("channels", error.channel), Channel), origin)
            return f"channel {_toml_key(error.channel)}: {rule}"
        case "value_error" if field.key[0] == "channels" and len(field.key) == 2:
            rule = _with_setting_names(str(details["ctx"]["error"]), field, origin)
            return f"channel {_toml_key(field.key[1])}: {rule}"
    if field.info and not mentions_secret(field.info.annotation):
        return f"{place}={_quoted(details['input'])}: {_allowed(details, field)}"
    return f"{place} (value not shown): {_allowed(details, field)}"


def _allowed(details: ErrorDetails, field: _Field) -> str:
    problem = details["type"]
    if problem == "value_error":
        return str(details["ctx"]["error"])
    if field.info and problem.startswith(("int_", "float_", "greater_", "less_")):
        return f"must be {_number(field.info)}"
    if problem in ("dict_type", "model_type"):
        return "must be a table"
    if problem.startswith("bool_"):
        return "must be true or false"
    if problem == "too_short":
        return "must not be empty"
    return re.sub(r"^(Input|String) should|should", "must", details["msg"], count=1)


def _number(info: FieldInfo) -> str:
    nouns: dict[object, str] = {int: "a whole number", float: "a number", timedelta: "a duration"}
    bounds = [
        f"{word} {format_duration(bound) if isinstance(bound, timedelta) else bound}"
        for word, kind in (("at least", "ge"), ("more than", "gt"), ("at most", "le"))
        for bound in (getattr(rule, kind, None) for rule in info.metadata)
        if bound is not None
    ]
    return f"{nouns[info.annotation]}, {' and '.join(bounds)}"


def _nearest(field: _Field) -> str:
    nearest = get_close_matches(field.key[-1], field.siblings, n=1)
    return f"did you mean {nearest[0]}?" if nearest else f"must be one of {', '.join(field.siblings)}"


def _with_setting_names(rule: str, field: _Field, origin: Origin) -> str:
    """`rule`, which concerns several fields, with their names as the operator writes them."""
    fields = "|".join(field.model.model_fields)
    return re.sub(rf"\b({fields})\b", lambda name: origin.name((*field.key, name[0])), rule)


def _quoted(value: object) -> str:
    """`value` on a single line, truncated."""
    written = repr(format_duration(value) if isinstance(value, timedelta) else value)
    return written if len(written) <= _VALUE_LIMIT else f"{written[:_VALUE_LIMIT]}..."


def _toml_key(part: str) -> str:
    return part if re.fullmatch(r"[\w-]+", part, re.ASCII) else json.dumps(part)
