"""HTTP request metrics: counts and durations by route, recorded as responses end."""

from collections import Counter
from collections.abc import Mapping

from starlette.types import Scope

from certctl_mcp.delivery.metrics import Durations

RESPONSE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

NO_ROUTE = "none"
"""The label for requests that reached no route, because they were refused earlier or have an unknown path."""

_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"})


class RequestMetrics:
    """Counters of this process. No label holds client input, so their number is bounded."""

    def __init__(self) -> None:
        self._responses: Counter[tuple[str, str, int]] = Counter()
        self._durations: dict[str, Durations] = {}

    @property
    def responses(self) -> Mapping[tuple[str, str, int], int]:
        """By route, method and status; status 0 means that the client disconnected first."""
        return self._responses

    @property
    def durations(self) -> Mapping[str, Durations]:
        """By route. Event streams last as long as clients listen."""
        return self._durations

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        route = _route(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._responses[route, method, status] += 1
        self._durations.setdefault(route, Durations(RESPONSE_SECONDS)).add(seconds)


def _route(scope: Scope) -> str:
    path = getattr(scope.get("route"), "path", None)
    if path is None and "endpoint" in scope and not scope["path_params"]:
        # Starlette's own routes don't add themselves to the scope; those here have no parameters.
        path = scope["path"]
    return path or NO_ROUTE
