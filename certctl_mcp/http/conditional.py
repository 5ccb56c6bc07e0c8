"""JSON responses with an ETag. Absent fields are left out, and the response for an unchanged document is 304
Not Modified."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON document and its ETag."""

    body: bytes
    etag: str


def document_of(content: BaseModel, volatile: frozenset[str] = frozenset()) -> Document:
    """`content` as JSON. The ETag does not cover `volatile` fields, which differ each time."""
    body = stable = content.model_dump_json(exclude_none=True).encode()
    if volatile:
        stable = content.model_dump_json(exclude_none=True, exclude=set(volatile)).encode()
    return Document(body, f'W/"{hashlib.sha256(stable).hexdigest()[:32]}"')


def json_response(
    content: BaseModel | Document,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    if_none_match: str | None = None,
) -> Response:
    """`content` as JSON, or 304 if `if_none_match` contains its ETag."""
    document = content if isinstance(content, Document) else document_of(content)
    all_headers = {"ETag": document.etag, "Cache-Control": "private, no-cache", **(headers or {})}
    if if_none_match is not None and _matches(if_none_match, document.etag):
        return Response(status_code=304, headers=all_headers)
    return Response(document.body, status, all_headers, media_type="application/json")


def _matches(if_none_match: str, etag: str) -> bool:
    opaque = etag.removeprefix("W/")
    given = (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
    return any(tag in ("*", opaque) for tag in given)
