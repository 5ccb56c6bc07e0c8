"""What does a client read when a request can't be met? RFC 9457's fields, and certctl's beside them."""

import json
from collections.abc import Mapping, MutableMapping
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"

_REQUEST_ID = "certctl_mcp.request_id"


class Problem(BaseModel):
    """Why a request was not met; nothing was changed."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    type: str = "about:blank"
    title: str = Field(examples=["Not Found"])
    status: int
    detail: str
    """What was wrong, and what is allowed."""
    error: str
    """The title, as certctl's server gives it."""
    message: str
    """The detail, as certctl's server gives it."""
    request_id: str
    """Stands in the server's log and in the header X-Request-ID."""


def new_request_id(scope: MutableMapping[str, Any]) -> str:
    """A name for the request, which the answer and the log tell."""
    request_id = str(uuid4())
    scope[_REQUEST_ID] = request_id
    return request_id


def request_id_of(scope: MutableMapping[str, Any]) -> str:
    request_id = scope[_REQUEST_ID]
    assert isinstance(request_id, str)
    return request_id


def problem(
    scope: MutableMapping[str, Any],
    status: int,
    message: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to a request that can't be met."""
    title = HTTPStatus(status).phrase
    told = Problem(
        title=title,
        status=status,
        detail=message,
        error=title,
        message=message,
        request_id=request_id_of(scope),
    )
    body = json.dumps(told.model_dump()).encode()
    return Response(body, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)
