"""Which status has what can go wrong below the routes, and what does the client read?"""

import logging
from collections.abc import Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from certctl_mcp.http.api.problem_details import problem, request_id_of
from certctl_mcp.services.errors import RequestError
from certctl_mcp.services.explanations import explained
from certctl_mcp.text.untrusted import encode_id
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
    # Well-formed, and yet not to be met: what is malformed is 400.
    (NotificationError, 422),
    (RequestError, 422),
    (StorageError, 503),
)
_UNAVAILABLE_FOR = "5"
"""Seconds after which to try again."""


def explain_failures(app: FastAPI) -> None:
    """Have `app` answer with problem details whatever goes wrong."""
    for kind, _ in _STATUSES:
        app.add_exception_handler(kind, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _refused(request: Request, failure: Exception) -> Response:
    status = next(status for kind, status in _STATUSES if isinstance(failure, kind))
    headers = {"Retry-After": _UNAVAILABLE_FOR} if status == 503 else None
    if isinstance(failure, StorageError):
        logger.warning("request %s: %s", request_id_of(request.scope), failure)
    return problem(request.scope, status, _explained(failure), headers)


def _explained(failure: Exception) -> str:
    if isinstance(failure, NotificationNotFoundError):
        meant = f"; did you mean {encode_id(failure.nearest)!r}?" if failure.nearest is not None else "."
        return f"There is no notification {encode_id(failure.notification_id)!r}{meant}"
    return str(explained(failure))


async def _invalid(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, RequestValidationError)
    # What was given is not repeated: it may be anything.
    told = dict.fromkeys(
        _told(error["loc"], error["msg"])
        for error in failure.errors()
        # That a parameter may be blank is no help.
        if error.get("ctx", {}).get("expected") != "''"
    )
    return problem(request.scope, 400, "; ".join(told))


async def _http(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, HTTPException)
    message, headers = str(failure.detail), dict(failure.headers or {})
    match failure.status_code:
        case 404 if message == "Not Found":
            message = "There is nothing at this address."
        case 405:
            allowed = ", ".join(_methods(request))
            message, headers["Allow"] = f"Method not allowed; allowed: {allowed}", allowed
    return problem(request.scope, failure.status_code, message, headers)


def _told(place: Sequence[object], message: str) -> str:
    source, *rest = place
    # Below the name of a parameter stands which of its types was tried.
    what = rest[0] if rest and isinstance(rest[0], str) else source
    return f"{what}: {message.removeprefix('Value error, ').replace('Input should', 'must', 1)}"


def _methods(request: Request) -> list[str]:
    """Those of every route at the address; what is raised knows of the first alone."""
    return [
        method
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.router.routes
        )
    ]
