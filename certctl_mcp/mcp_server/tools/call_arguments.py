"""Reads the arguments of a tool call before they are validated.

Models and hosts write the same thing in several ways: null, or an empty string, for "not given"; a list as
JSON text or with commas; a number as text. Hosts also add their own arguments. One set of rules, applied to
every tool, determines what each of these means.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Arguments = dict[str, object]

ADDED_BY_HOSTS = frozenset(
    {
        # n8n
        "toolCallId",
        "sessionId",
        "action",
        "chatInput",
        # Gemini CLI
        "wait_for_previous",
        # Cursor, for tools without arguments
        "random_string",
        # OpenHands
        "security_risk",
        "tool_call_id",
        "session_id",
    }
)
"""Arguments that hosts are known to add to every call, as well as everything that begins with an
underscore."""

_NOTHING = frozenset({"", "null", "none", "undefined"})
"""Values that mean "not given" for arguments that aren't texts."""

_EPOCH_SECONDS = range(946_684_800, 4_102_444_800)
"""The years 2000 to 2099: a number in this range is a Unix timestamp, not an age or part of a date."""


def read_arguments(given: Mapping[str, object], schema: Mapping[str, Any]) -> Arguments:
    """The intended arguments, for a tool whose arguments have this JSON schema.

    Left out is what hosts add, and what stands for "not given" where the argument is optional. Arguments that
    the schema doesn't have are kept, for the caller to reject.
    """
    properties: Mapping[str, Mapping[str, Any]] = schema["properties"]
    required = frozenset(schema.get("required", ()))
    read: Arguments = {}
    for name, value in given.items():
        known = properties.get(name)
        if known is None:
            if name not in ADDED_BY_HOSTS and not name.startswith("_"):
                read[name] = value
        elif name in required or not _is_absent(value, known):
            read[name] = _normalized(name, value, known)
    return read


def _is_absent(value: object, schema: Mapping[str, Any]) -> bool:
    if value is None:
        return True
    if not isinstance(value, str):
        return False
    text = value.strip()
    return not text if _is_free_text(schema) else text.lower() in _NOTHING


def _normalized(name: str, value: object, schema: Mapping[str, Any]) -> object:
    kind = schema.get("type")
    if kind == "array":
        return _list(value, schema.get("items", {}))
    if kind == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        value = str(int(value)) if float(value).is_integer() else str(value)
    if isinstance(value, str):
        if "enum" in schema:
            return _enum_value(value, schema)
        if name in ("created_after", "created_before", "until"):
            return _from_timestamp(value)
        if kind in ("integer", "boolean", "number"):
            return value.strip()
    return value


def _list(value: object, items: Mapping[str, Any]) -> object:
    """A list, even if it was written as JSON, with commas, or as a single value."""
    if isinstance(value, str):
        text = value.strip()
        value = _json_list(text) if text.startswith("[") else text.split(",")
    if isinstance(value, tuple | list):
        parts = [part.strip() if isinstance(part, str) else part for part in value]
        given = [part for part in parts if part != "" and part is not None]
        return [
            _enum_value(part, items) if isinstance(part, str) and "enum" in items else part for part in given
        ]
    return value


def _json_list(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip("[]").split(",")


def _enum_value(value: str, schema: Mapping[str, Any]) -> str:
    """The allowed value that equals this one, ignoring case; otherwise the value unchanged."""
    by_lower = {str(allowed).lower(): str(allowed) for allowed in schema["enum"]}
    return by_lower.get(value.strip().lower(), value)


def _from_timestamp(text: str) -> str:
    """A Unix timestamp in seconds or milliseconds as ISO 8601; anything else unchanged."""
    try:
        number = float(text)
    except ValueError:
        return text
    for seconds in (number, number / 1000):
        if number >= 0 and int(seconds) in _EPOCH_SECONDS:
            return datetime.fromtimestamp(seconds, UTC).isoformat()
    return text


def _is_free_text(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "string" and "enum" not in schema
