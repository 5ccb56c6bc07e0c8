"""Exception handlers: the status and message for each error of the routes."""

import logging
import re
from collections.abc import Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from certctl_mcp.http.problem_details import http_error_response, problem_response, request_id_of
from certctl_mcp.runtime.confirmations import ConfirmationError
from certctl_mcp.services.bulk import BulkActionStoppedError
from certctl_mcp.services.errors import RequestError, message_with_suggestion
from certctl_mcp.services.explanations import explained
from certctl_mcp.services.filters import FilterError
from certctl_mcp.text.untrusted import clean_name, encode_id
from storage.errors import (
    NotificationConflictError,
    NotificationError,
    NotificationNotFoundError,
    StorageError,
)

logger = logging.getLogger(__name__)

_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (NotificationNotFoundError, 404),
    (NotificationConflictError, 409),
    # Well-formed but impossible; malformed input is 400.
    (NotificationError, 422),
    (ConfirmationError, 409),
    (RequestError, 422),
    (BulkActionStoppedError, 503),
    (StorageError, 503),
)
_RETRY_AFTER = "5"
"""Seconds."""

_OUR_NAMES = {"created_after": "created_from", "created_before": "created_until"}
"""The names of filter conditions in these routes."""
_CONDITION = re.compile("|".join(_OUR_NAMES))

_MAX_LINES = 10
"""The most errors that are listed for one request."""


def add_exception_handlers(app: FastAPI) -> None:
    """Make every error response of `app` a problem document."""
    for kind, _ in _STATUSES:
        app.add_exception_handler(kind, _domain_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, http_error_response)


async def _domain_error(request: Request, failure: Exception) -> Response:
    status = next(status for kind, status in _STATUSES if isinstance(failure, kind))
    headers = {"Retry-After": _RETRY_AFTER} if status == 503 else None
    if isinstance(failure, StorageError):
        logger.warning("request %s: %s", request_id_of(request.scope), failure)
    return problem_response(request.scope, status, _message(failure), headers)


def _message(failure: Exception) -> str:
    if isinstance(failure, NotificationNotFoundError):
        meant = f"; did you mean {encode_id(failure.nearest)!r}?" if failure.nearest is not None else "."
        return f"There is no notification {encode_id(failure.notification_id)!r}{meant}"
    if isinstance(failure, FilterError):
        return _CONDITION.sub(lambda name: _OUR_NAMES[name[0]], str(failure))
    return message_with_suggestion(failure) if isinstance(failure, RequestError) else str(explained(failure))


async def _validation_error(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, RequestValidationError)
    # The input is not repeated, because it may be anything.
    lines = dict.fromkeys(
        _line(error["loc"], error["msg"])
        for error in failure.errors()
        # Leaves out that a parameter may also be blank, which doesn't help.
        if error.get("ctx", {}).get("expected") != "''"
    )
    if lines and _is_not_json(request) and all(line.startswith("body: ") for line in lines):
        lines = {"body: must be JSON, with Content-Type: application/json": None}
    shown = list(lines)[:_MAX_LINES]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more")
    return problem_response(request.scope, 400, "; ".join(shown))


def _is_not_json(request: Request) -> bool:
    """Whether FastAPI has not parsed the body because its content type isn't JSON."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return given != "application/json" and not given.endswith("+json")


def _line(location: Sequence[object], message: str) -> str:
    source, *rest = location
    # The name of a parameter is followed by the type that was tried.
    name = clean_name(rest[0]) if rest and isinstance(rest[0], str) else source
    return f"{name}: {message.removeprefix('Value error, ').replace('Input should', 'must', 1)}"
