"""Which pages and names may requests come by? A browser must not be made to call for a stranger's page.

A name that a stranger points at this machine shows in the header Host, and the page that calls in Origin.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from certctl_mcp.config.http_settings import HttpSettings
from certctl_mcp.http.api.problem_details import problem
from certctl_mcp.text.untrusted import clean_name

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class KnownOrigins:
    """Middleware that refuses what comes by a name or from a page that is not known here."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._hosts = _hosts(settings)
        self._origins = frozenset(settings.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if self._hosts is not None and not {host, _without_port(host)} & self._hosts:
            known = ", ".join(sorted(self._hosts))
            refused = problem(scope, 421, f"This server is not called {clean_name(host)!r}, but {known}.")
        elif origin is not None and origin not in self._origins and not _is_same(origin, host):
            refused = problem(scope, 403, f"Pages of {clean_name(origin)!r} may not call this server.")
        else:
            await self._app(scope, receive, send)
            return
        await refused(scope, receive, send)


def _hosts(settings: HttpSettings) -> frozenset[str] | None:
    """None: any. Beyond loopback a caller shows a key, which no stranger's page has."""
    configured = frozenset(name.lower() for name in settings.allowed_hosts)
    if not configured and not settings.on_loopback:
        return None
    own = f"[{settings.host}]" if ":" in settings.host else settings.host.lower()
    return configured | _LOOPBACK | {own}


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _is_same(origin: str, host: str) -> bool:
    scheme, separator, name = origin.partition("://")
    return bool(separator) and scheme in ("http", "https") and name.lower() == host
