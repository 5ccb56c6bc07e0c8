"""Error responses: RFC 9457 problem details, in addition to certctl's own error fields."""

import json
from collections.abc import Mapping, MutableMapping
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

MEDIA_TYPE = "application/problem+json"

_REQUEST_ID = "certctl_mcp.request_id"


class Problem(BaseModel):
    """Why a request was refused; nothing was changed."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    type: str = "about:blank"
    title: str = Field(examples=["Not Found"])
    status: int
    detail: str
    """What was wrong and what is allowed."""
    error: str
    """The title, under certctl's name for it."""
    message: str
    """The detail, under certctl's name for it."""
    request_id: str
    """Also in the server's log and in the header X-Request-ID."""


def new_request_id(scope: MutableMapping[str, Any]) -> str:
    """Assign an id to the request."""
    request_id = str(uuid4())
    scope[_REQUEST_ID] = request_id
    return request_id


def request_id_of(scope: MutableMapping[str, Any]) -> str:
    request_id = scope[_REQUEST_ID]
    assert isinstance(request_id, str)
    return request_id


def problem_response(
    scope: MutableMapping[str, Any],
    status: int,
    message: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response to a request that is refused."""
    body = problem_body(status, message, request_id_of(scope))
    return Response(body, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def problem_body(status: int, message: str, request_id: str) -> bytes:
    """The JSON of a problem document."""
    title = HTTPStatus(status).phrase
    document = Problem(
        title=title, status=status, detail=message, error=title, message=message, request_id=request_id
    )
    return json.dumps(document.model_dump()).encode()


async def http_error_response(request: Request, failure: Exception) -> Response:
    """An exception handler for errors that Starlette raises, such as 404 and 405."""
    assert isinstance(failure, HTTPException)
    message, headers = str(failure.detail), dict(failure.headers or {})
    match failure.status_code:
        case 404 if message == "Not Found":
            message = "Nothing is at this path."
        case 405:
            allowed = ", ".join(_methods(request))
            message, headers["Allow"] = f"Method not allowed; allowed: {allowed}", allowed
    return problem_response(request.scope, failure.status_code, message, headers)


def _methods(request: Request) -> list[str]:
    """The methods of all routes at this path; the exception has only those of the first."""
    return [
        method
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.router.routes
        )
    ]
