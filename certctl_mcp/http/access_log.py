"""The access log: one line per request, and the request id that the response and the log share.

Successful reads are logged only at debug level, because loading the page takes ten requests.
"""

import logging
import time
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from certctl_mcp.http.auth.principal import caller_name
from certctl_mcp.http.client_address import client_address
from certctl_mcp.http.problem_details import new_request_id, problem_response
from certctl_mcp.text.untrusted import clean_excerpt

logger = logging.getLogger(__name__)

_LONGEST_PATH = 200
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_LOGGED_OTHERWISE = frozenset({"/mcp"})
"""The path of MCP, whose server logs its own calls, with the tool's name."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Observe = Callable[[Scope, int, float], None]
"""Called after each request with its scope, the response status and the seconds it took."""


class AccessLog:
    """The outermost middleware: assigns request ids, logs requests and turns uncaught exceptions into 500."""

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id = new_request_id(scope)
        started = time.perf_counter()
        status = 0

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except Exception:
            # The outermost edge: the client gets a response, and the log the traceback.
            logger.exception("request %s failed", request_id)
            if not status:
                response = problem_response(scope, 500, "Internal error; the server's log has the details.")
                await response(scope, receive, send_on)
        finally:
            took = time.perf_counter() - started
            self._observe(scope, status, took)
            _log(scope, request_id, status, took)


def _log(scope: Scope, request_id: str, status: int, took: float) -> None:
    reads = scope["method"] in _READING or scope["path"] in _LOGGED_OTHERWISE
    quiet = reads and 0 < status < 400
    level = logging.DEBUG if quiet else logging.INFO
    if logger.isEnabledFor(level):
        # Without the query string, which may contain search terms.
        path = clean_excerpt(scope["path"], _LONGEST_PATH).text
        logger.log(
            level,
            "%s %s %s in %.0f ms, key %s, request %s, from %s",
            scope["method"],
            path,
            status or "no response",
            took * 1000,
            caller_name(scope),
            request_id,
            client_address(scope),
        )
