"""What does a browser get at `/`? The page's files, under a policy that lets nothing else run."""

import base64
import hashlib
import re
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

INDEX = "index.html"

_MEDIA_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}

_INLINE = re.compile(r"<(script|style)(?:\s[^>]*)?>(.*?)</\1>", re.DOTALL)


def page_router(directory: Traversable | None = None) -> APIRouter:
    """Serves the page at `/`, and the files beside it under `/ui/`."""
    directory = files("certctl_mcp") / "ui" if directory is None else directory
    served = {
        entry.name: entry.read_bytes()
        for entry in (directory.iterdir() if directory.is_dir() else ())
        if entry.is_file() and _suffix(entry.name) in _MEDIA_TYPES
    }
    policy = content_security_policy(served.get(INDEX, b"").decode())
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def index() -> Response:
        return file(INDEX)

    @router.get("/ui/{name}")
    async def file_beside(name: str) -> Response:
        return file(name)

    def file(name: str) -> Response:
        if name not in served:
            raise HTTPException(404, "There is no such file.")
        return Response(
            served[name],
            media_type=_MEDIA_TYPES[_suffix(name)],
            headers={"Content-Security-Policy": policy, "Cache-Control": "no-cache"},
        )

    return router


def content_security_policy(page: str) -> str:
    """Lets the page run its own scripts and styles, told by what they are, and speak to this server alone."""
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(page):
        if text.strip():
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            hashes[kind].append(f"'sha256-{digest}'")
    return "; ".join(
        (
            "default-src 'none'",
            " ".join(("script-src 'self'", *hashes["script"])),
            " ".join(("style-src 'self'", *hashes["style"])),
            "connect-src 'self'",
            "img-src 'self' data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]
