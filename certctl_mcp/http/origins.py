"""Protection against DNS rebinding and cross-origin calls: checks the Host and Origin headers.

A name that an attacker points at this machine appears in Host, and the calling page in Origin.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from certctl_mcp.config.http_settings import HttpSettings
from certctl_mcp.http.problem_details import problem_response
from certctl_mcp.text.untrusted import clean_name

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class OriginCheck:
    """Middleware that refuses unknown host names and origins."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._hosts = _hosts(settings)
        self._origins = frozenset(settings.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if self._hosts is not None and not {host, _without_port(host)} & self._hosts:
            allowed = ", ".join(sorted(self._hosts))
            refused = problem_response(
                scope,
                421,
                f"Host {clean_name(host)!r} is not allowed; allowed: {allowed}. "
                "To allow it, add it to CERTCTL_SERVER_ALLOWED_HOSTS.",
            )
        elif origin is not None and origin not in self._origins and not _same_origin(origin, host):
            refused = problem_response(
                scope,
                403,
                f"Origin {clean_name(origin)!r} is not allowed. To allow it, add it to CERTCTL_CORS_ORIGINS.",
            )
        else:
            await self._app(scope, receive, send)
            return
        await refused(scope, receive, send)


def _hosts(settings: HttpSettings) -> frozenset[str] | None:
    """The allowed hosts; None allows any. Beyond loopback every caller needs a key, which an attacker's page
    doesn't have."""
    configured = frozenset(name.lower() for name in settings.allowed_hosts)
    if not configured and not settings.on_loopback:
        return None
    own = f"[{settings.host}]" if ":" in settings.host else settings.host.lower()
    return configured | _LOOPBACK | {own}


def is_same_origin(headers: Headers) -> bool:
    """Whether a request comes from a page of this server, judging by its headers."""
    origin = headers.get("origin")
    return origin is None or _same_origin(origin, headers.get("host", "").lower())


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _same_origin(origin: str, host: str) -> bool:
    scheme, separator, name = origin.partition("://")
    return bool(separator) and scheme in ("http", "https") and name.lower() == host
