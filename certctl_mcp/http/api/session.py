"""Signing a browser in and out: the routes with which the page sets and removes its cookie."""

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from certctl_mcp.http.auth.browser_sessions import COOKIE, LIFETIME, BrowserSessions


def session_router(sessions: BrowserSessions) -> APIRouter:
    """Serves `/api/v1/auth/session`, which only the page uses."""
    router = APIRouter(prefix="/api/v1/auth/session", include_in_schema=False)

    @router.post("", status_code=204)
    async def stay_signed_in(request: Request) -> Response:
        """Set the cookie for the API key in the Authorization header."""
        _, _, key = request.headers.get("authorization", "").partition(" ")
        cookie = sessions.issue(key.strip())
        if cookie is None:
            raise HTTPException(422, "An API key is required in the Authorization header.")
        response = Response(status_code=204)
        response.set_cookie(
            COOKIE,
            cookie,
            max_age=int(LIFETIME.total_seconds()),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    @router.delete("", status_code=204)
    async def sign_out(request: Request) -> Response:
        """Remove the cookie."""
        response = Response(status_code=204)
        secure = request.url.scheme == "https"
        response.delete_cookie(COOKIE, secure=secure, httponly=True, samesite="strict")
        return response

    return router
