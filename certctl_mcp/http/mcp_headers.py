"""Adapts request headers of MCP clients to the SDK, which is stricter than HTTP."""

from collections.abc import Iterable
from enum import Enum

_JSON = "application/json"
_EVENTS = "text/event-stream"

RawHeaders = list[tuple[bytes, bytes]]


class Representation(Enum):
    """The form of a response."""

    EVENTS = "a stream of events, or JSON where that is enough"
    JSON = "JSON only"


def representation(accept: str | None) -> Representation | None:
    """What the `Accept` header allows; None if it allows neither. Without one, everything is allowed."""
    if accept is None or not accept.strip():
        return Representation.EVENTS
    ranges = {part.split(";")[0].strip().lower() for part in accept.split(",")}
    if ranges & {_EVENTS, "text/*", "*/*"}:
        return Representation.EVENTS
    return Representation.JSON if ranges & {_JSON, "application/*"} else None


def normalized_headers(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Headers with `Accept` for both media types, which `representation` has read, and a lower-case type.

    `Last-Event-ID` is left out: events are not kept, so a client that reconnects starts a new stream.
    """
    kept = [
        (name, value.lower() if name == b"content-type" else value)
        for name, value in headers
        if name not in (b"accept", b"last-event-id")
    ]
    return [*kept, (b"accept", f"{_JSON}, {_EVENTS}".encode())]
