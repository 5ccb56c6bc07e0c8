"""The OpenAPI document, completed with what FastAPI can't know: error responses, keys and channel names."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from certctl_mcp.config.settings import Settings
from certctl_mcp.http.problem_details import MEDIA_TYPE, Problem

_ALWAYS = {
    "400": "The request is malformed; the message says what is allowed.",
    "429": "Too many requests; retry after the seconds in Retry-After.",
    "503": "The database is unavailable.",
}
_WITH_KEY = {"401": "The key is missing or unknown.", "403": "The key does not allow this."}
_ADDRESSED = {"404": "There is no such notification.", "422": "The id fits several notifications."}
_CHANGING = {
    "408": "The body did not arrive in time.",
    "409": "Its status does not allow this.",
    "413": "The body is too large.",
}
_SENDING = {"422": "The channel is not configured, or the Idempotency-Key was used with different contents."}
_LISTING = {"422": "The cursor is invalid, or was given together with a page."}

_RETRYING = {"422": "This process does not deliver."}
_BULK = {
    "409": "The confirmation is not valid for exactly this, or has been used.",
    "422": "The filter can't be used, the action does not apply to what it selects, or an id is ambiguous.",
}
_DIAGNOSING = {"422": "A moment can't be read, or no notification has such a channel or type."}
_REPORTING = {"422": "A moment can't be read, or the period is empty or too long."}
_TESTING = {"422": "There is no such channel, or mail to this recipient is not allowed."}
_PAUSING = {"422": "There is no such channel, or the end of the pause is past or too far ahead."}

_OPEN = frozenset({"/health", "/ready", "/api/v1/auth/info", "/api/v1/version"})

Document = dict[str, Any]
"""JSON in the shape that the OpenAPI specification defines."""


def customize_openapi(app: FastAPI, settings: Callable[[], Settings]) -> None:
    """Add the error responses of each operation and the configured channels to the document of `app`.

    `settings` returns those in effect. When they change, `openapi_schema` must be set to None.
    """

    def openapi() -> Document:
        if app.openapi_schema is None:
            current = settings()
            channels = tuple(current.named_channels)
            app.openapi_schema = _completed(app, channels, current.http.authenticates)
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
    # FastAPI's own validation error, which is 400 here.
    responses.pop("422", None)
    described = dict(_ALWAYS)
    if with_keys:
        operation["security"] = [{"key": []}]
        described |= _WITH_KEY
    described |= _ADDRESSED if "{id}" in path or path.endswith("/audit") else {}
    described |= _CHANGING if method == "post" else {}
    if path.endswith("/notifications"):
        described |= _SENDING if method == "post" else _LISTING
    if path.endswith(("/notifications/requeue", "/notifications/read", "/notifications/purge")):
        described |= _BULK
    if path.endswith("/retry-due"):
        described |= _RETRYING
    if path.endswith("/diagnosis"):
        described |= _DIAGNOSING
    if path.endswith("/deliveries"):
        described |= _REPORTING
    if "{name}" in path:
        described |= _TESTING if path.endswith("/test") else _PAUSING
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, description in described.items():
        responses.setdefault(status, {"description": description}).setdefault("content", {}).update(content)
    for parameter in operation.get("parameters", ()):
        _without_null(parameter["schema"])
        if parameter["name"] == "if-none-match":
            responses["304"] = {"description": "Not modified."}


def _without_null(schema: Document) -> None:
    """Drop `null`: a query parameter or header is absent, never null."""
    some = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    if len(some) == 1:
        del schema["anyOf"]
        schema.update(some[0])
