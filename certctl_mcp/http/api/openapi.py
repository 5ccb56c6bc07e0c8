"""What do clients read of the interface before they call? The OpenAPI document, true for this very server."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from certctl_mcp.http.api.problem_details import MEDIA_TYPE, Problem

_ALWAYS = {
    "400": "The request is malformed; the message says what is allowed.",
    "429": "Too many requests; wait for as long as Retry-After says.",
    "503": "The database can't be used now.",
}
_WITH_A_KEY = {"401": "No key, or one that is not known.", "403": "The key does not allow it."}
_ADDRESSED = {"404": "There is no such notification."}
_CHANGING = {
    "408": "The body did not arrive in time.",
    "409": "Its state does not allow it.",
    "413": "The body is too large.",
}
_SENDING = {"422": "The channel is not configured, or the Idempotency-Key came before with other contents."}
_LISTING = {"422": "The cursor is none that a page gave, or came with a page."}

_OPEN = frozenset({"/health", "/ready", "/api/v1/auth/info"})

Document = dict[str, Any]
"""JSON, of a shape that the specification of OpenAPI gives."""


def describe(app: FastAPI, channels: Sequence[str], *, with_keys: bool) -> None:
    """Have `app` tell the problems that can come of each call, and the channels there are."""

    def openapi() -> Document:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(app, channels, with_keys)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(app: FastAPI, channels: Sequence[str], with_keys: bool) -> Document:
    found = get_openapi(title=app.title, version=app.version, routes=app.routes)
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = Problem.model_json_schema()
    if channels:
        schemas["CreateNotification"]["properties"]["channel"]["enum"] = list(channels)
    if with_keys:
        found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation, with_keys=with_keys and path not in _OPEN)
    return found


def _complete(path: str, method: str, operation: Document, *, with_keys: bool) -> None:
    responses = operation["responses"]
    # FastAPI's own, for what is told here with 400.
    responses.pop("422", None)
    told = dict(_ALWAYS)
    if with_keys:
        operation["security"] = [{"key": []}]
        told |= _WITH_A_KEY
    told |= _ADDRESSED if "{id}" in path else {}
    told |= _CHANGING if method == "post" else {}
    if path.endswith("/notifications"):
        told |= _SENDING if method == "post" else _LISTING
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, description in told.items():
        responses.setdefault(status, {"description": description}).setdefault("content", {}).update(content)
    for parameter in operation.get("parameters", ()):
        _without_null(parameter["schema"])
        if parameter["name"] == "if-none-match":
            responses["304"] = {"description": "Nothing has changed."}


def _without_null(schema: Document) -> None:
    """A parameter that is not given has no value, not one of a type of its own."""
    some = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    if len(some) == 1:
        del schema["anyOf"]
        schema.update(some[0])
