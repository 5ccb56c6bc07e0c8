"""How is a document answered? As JSON without what is not there, and only if the client has not got it."""

import hashlib
from collections.abc import Mapping

from pydantic import BaseModel
from starlette.responses import Response


def document(
    content: BaseModel,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    if_none_match: str | None = None,
    momentary: frozenset[str] = frozenset(),
) -> Response:
    """The answer, or 304 where `if_none_match` holds its ETag.

    `momentary` fields differ each time though nothing has changed.
    """
    body = lasting = content.model_dump_json(exclude_none=True).encode()
    if momentary:
        lasting = content.model_dump_json(exclude_none=True, exclude=set(momentary)).encode()
    etag = f'W/"{hashlib.sha256(lasting).hexdigest()[:32]}"'
    told = {"ETag": etag, "Cache-Control": "private, no-cache", **(headers or {})}
    if if_none_match is not None and _matches(if_none_match, etag):
        return Response(status_code=304, headers=told)
    return Response(body, status, told, media_type="application/json")


def _matches(if_none_match: str, etag: str) -> bool:
    opaque = etag.removeprefix("W/")
    given = (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
    return any(tag in ("*", opaque) for tag in given)
