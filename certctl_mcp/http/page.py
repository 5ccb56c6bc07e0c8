"""The web page at `/` and `/n/ID`, and its files, under a policy that blocks all other scripts."""

from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from certctl_mcp.http.state import ServingState, state_of
from certctl_mcp.ui.document import HEADERS, page_files


def page_router() -> APIRouter:
    """Serves the page at `/` and, opened at a notification, at `/n/ID`; its files are under `/ui/`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def index(request: Request, state: Annotated[ServingState, Depends(state_of)]) -> Response:
        return file("", request, state)

    @router.get("/n/{id}")
    async def notification(request: Request, state: Annotated[ServingState, Depends(state_of)]) -> Response:
        # The page reads the id from its address, and fetches that notification like any other.
        return file("n/", request, state)

    @router.get("/ui/{name}")
    async def file_beside(
        name: str, request: Request, state: Annotated[ServingState, Depends(state_of)]
    ) -> Response:
        return file(f"ui/{name}", request, state)

    def file(name: str, request: Request, state: ServingState) -> Response:
        found = page_files(state.settings.max_attempts).get(name)
        if found is None:
            raise HTTPException(404, "There is no such file.")
        tag = f'"{sha256(found.content).hexdigest()[:20]}"'
        # Other versions have the same file names, so the browser must revalidate each time.
        headers = {**HEADERS, "Cache-Control": "no-cache", "ETag": tag}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(found.content, media_type=found.media_type, headers=headers)

    return router
