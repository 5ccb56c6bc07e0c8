"""What is asked of this server, and how fast does it answer? Counted for monitoring as answers end."""

from collections import Counter
from collections.abc import Mapping

from starlette.types import Scope

from certctl_mcp.delivery.metrics import Durations

ANSWER_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

NO_ROUTE = "none"
"""Requests that reached no route: refused before, or for an address where there is nothing."""

_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"})


class Traffic:
    """The requests that have been answered. What clients write is in no label, or there would be no end."""

    def __init__(self) -> None:
        self._answered: Counter[tuple[str, str, int]] = Counter()
        self._durations: dict[str, Durations] = {}

    @property
    def answered(self) -> Mapping[tuple[str, str, int], int]:
        """By route, method and status; status 0: the client went away before."""
        return self._answered

    @property
    def durations(self) -> Mapping[str, Durations]:
        """By route. Streams of events take as long as clients listen."""
        return self._durations

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        route = _route(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._answered[route, method, status] += 1
        self._durations.setdefault(route, Durations(ANSWER_SECONDS)).add(seconds)


def _route(scope: Scope) -> str:
    path = getattr(scope.get("route"), "path", None)
    if path is None and "endpoint" in scope and not scope["path_params"]:
        # FastAPI does not say which of Starlette's own routes it was; none of those here has parameters.
        path = scope["path"]
    return path or NO_ROUTE
