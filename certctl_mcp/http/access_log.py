"""What is told of every request? To the client its id, to the log who asked for what and what came of it."""

import logging
import time
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from certctl_mcp.http.api.problem_details import new_request_id, problem
from certctl_mcp.http.auth.principal import name_of
from certctl_mcp.http.client_address import address_of
from certctl_mcp.text.untrusted import clean_excerpt

logger = logging.getLogger(__name__)

_LONGEST_PATH = 200
_PROBES = frozenset({"/health", "/ready", "/metrics", "/api/v1/metrics/prometheus"})
"""Asked for every few seconds by machines, and of no interest while they are answered."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Observe = Callable[[Scope, int, float], None]
"""Told of each request: its scope, the status of the answer, and the seconds it took."""


class Access:
    """The outermost middleware: names requests, logs them, and answers for defects of what is inside."""

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id = new_request_id(scope)
        begun = time.perf_counter()
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
            # The outermost edge: the client gets an answer, and the operator all there is to know.
            logger.exception("request %s failed", request_id)
            if not status:
                failed = problem(scope, 500, "The server has failed at this; its log says why.")
                await failed(scope, receive, send_on)
        finally:
            took = time.perf_counter() - begun
            self._observe(scope, status, took)
            _log(scope, request_id, status, took)


def _log(scope: Scope, request_id: str, status: int, took: float) -> None:
    quiet = scope["path"] in _PROBES and status < 400
    level = logging.DEBUG if quiet else logging.INFO
    if logger.isEnabledFor(level):
        # Without the query, which may hold what somebody searched for.
        path = clean_excerpt(scope["path"], _LONGEST_PATH).text
        logger.log(
            level,
            "%s %s %s in %.0f ms, key %s, request %s, from %s",
            scope["method"],
            path,
            status or "unanswered",
            took * 1000,
            name_of(scope),
            request_id,
            address_of(scope),
        )
