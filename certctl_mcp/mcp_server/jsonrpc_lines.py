"""Reads a line from a client as JSON-RPC, and answers lines that can't be read.

If a request is dropped without a response, its client waits forever. So every line that isn't a valid message
is answered with an error, under the line's own id if that is usable.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mcp_types import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import to_json

MAX_BATCH = 100
"""The most messages in one batch."""

_BYTE_ORDER_MARK = "\ufeff"
_LARGEST_EXACT = 2**53
"""Up to this number a float represents every integer exactly."""

_INVALID_ID = object()
"""Represents an id that JSON-RPC doesn't allow, and a missing id."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A message that can't be handled: the error to respond with, and the reason for the log."""

    reply: dict[str, object] | None
    """None if no response is allowed, because the message was itself a response."""
    reason: str


Entry = JSONRPCMessage | Rejection


@dataclass(frozen=True, slots=True)
class Batch:
    """Several messages on one line."""

    entries: tuple[Entry, ...]
    answered_together: bool = True
    """Whether the responses are also sent on one line, as an array."""


def read_message(line: bytes, *, batches: bool) -> Entry | Batch | None:
    """The message or messages of `line`, or its rejection; None for a blank line.

    `batches`: the agreed protocol revision has them, which only 2025-03-26 does.
    """
    text = line.decode(errors="replace").removeprefix(_BYTE_ORDER_MARK).strip()
    if not text:
        return None
    try:
        message = jsonrpc_message_adapter.validate_json(text, by_name=False)
    except ValidationError:
        return _read_carefully(text, batches=batches)
    # A request with an invalid id would pass for a notification, whose extra fields are ignored.
    if isinstance(message, JSONRPCNotification) and '"id"' in text:
        return _read_carefully(text, batches=batches)
    return message


def oversized(limit: int) -> Rejection:
    """The rejection of a line that is longer than `limit` bytes."""
    return _rejected(None, INVALID_REQUEST, f"The message is longer than {limit:,} bytes")


def _read_carefully(text: str, *, batches: bool) -> Entry | Batch | None:
    try:
        value = _without_lone_surrogates(json.loads(text))
    except (ValueError, RecursionError) as malformed:
        detail = "it is nested too deeply" if isinstance(malformed, RecursionError) else str(malformed)
        return _rejected(None, PARSE_ERROR, f"The line is not valid JSON: {detail}")
    if not isinstance(value, list):
        return _read_object(value)
    if not value:
        return _rejected(None, INVALID_REQUEST, "A batch must not be empty")
    if len(value) > MAX_BATCH:
        return _rejected(None, INVALID_REQUEST, f"A batch may hold at most {MAX_BATCH} messages")
    if not batches:
        why = "Only protocol revision 2025-03-26 has batches; send one message per line"
        rejections = tuple(_rejected(_id_of(each), INVALID_REQUEST, why) for each in _requests(value))
        return Batch(rejections, answered_together=False)
    return Batch(tuple(_read_object(each) for each in value))


def _requests(values: Iterable[object]) -> list[object]:
    """The values with a usable id; if none has one, a single stand-in, so that there is one response."""
    return [each for each in values if _id_of(each) is not None] or [None]


def _read_object(value: object) -> Entry:
    if not isinstance(value, dict):
        kind = type(value).__name__
        return _rejected(None, INVALID_REQUEST, f"A message must be a JSON object, not {kind}")
    is_response = "method" not in value and ("result" in value or "error" in value)
    given_id = _valid_id(value["id"]) if "id" in value else _INVALID_ID
    if "id" in value and given_id is _INVALID_ID and not is_response:
        return _rejected(_echoed(value["id"]), INVALID_REQUEST, "id must be a string or an integer")
    normalized = value if given_id is _INVALID_ID else {**value, "id": given_id}
    try:
        message = jsonrpc_message_adapter.validate_python(normalized, by_name=False)
    except ValidationError:
        if is_response:
            return Rejection(None, "it is neither a valid request nor a valid response")
        return _rejected(_id_of(value), *_problem(value))
    if "id" in value and not is_response and not isinstance(message, JSONRPCRequest):
        return _rejected(_id_of(value), *_problem(value))
    return message


def _problem(value: dict[str, Any]) -> tuple[int, str]:
    """The error code and the message for an object that isn't a valid request."""
    if value.get("jsonrpc") != "2.0":
        return INVALID_REQUEST, '"jsonrpc" must be "2.0"'
    if not isinstance(value.get("method"), str):
        return INVALID_REQUEST, "method must be a string"
    if not isinstance(value.get("params", {}), dict):
        return INVALID_PARAMS, "params must be an object"
    return INVALID_REQUEST, "The message is neither a request nor a notification nor a response"


def _valid_id(given: object) -> object:
    """The id as the protocol defines it: a string or an integer; `_INVALID_ID` if it is neither.

    6.0 is the integer 6: JSON doesn't distinguish them, and some languages write all numbers like that.
    """
    if isinstance(given, bool):
        return _INVALID_ID
    if isinstance(given, float) and given.is_integer() and abs(given) <= _LARGEST_EXACT:
        return int(given)
    return given if isinstance(given, str | int) else _INVALID_ID


def _id_of(value: object) -> object:
    """The usable id of a message, or None."""
    if not isinstance(value, dict) or "id" not in value:
        return None
    found = _valid_id(value["id"])
    return None if found is _INVALID_ID else found


def _echoed(given: object) -> object:
    """An invalid id, if the response can still carry it: JSON-RPC allows fractions, MCP does not."""
    is_number = isinstance(given, float) and abs(given) < float("inf")
    return given if is_number else None


def _rejected(request: object, code: int, message: str) -> Rejection:
    error = {"code": code, "message": f"{message}."}
    return Rejection({"jsonrpc": "2.0", "id": request, "error": error}, message)


def _without_lone_surrogates(value: Any) -> Any:
    """`value` with U+FFFD for halves of surrogate pairs, which JSON can escape but UTF-8 can't encode."""
    match value:
        case str():
            if value.isascii():
                return value
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_without_lone_surrogates(item) for item in value]
        case dict():
            return {
                _without_lone_surrogates(key): _without_lone_surrogates(item) for key, item in value.items()
            }
        case _:
            return value


def encoded(reply: object) -> bytes:
    """`reply` as one line of JSON, without the line end."""
    return to_json(reply, inf_nan_mode="null")
