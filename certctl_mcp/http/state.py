"""The state that the parts of the HTTP server share."""

from dataclasses import dataclass, field

import anyio
from starlette.requests import Request

from certctl_mcp.config.settings import Settings
from certctl_mcp.http.monitoring.requests import RequestMetrics
from certctl_mcp.http.shared_responses import SharedResponses
from certctl_mcp.http.streams import Streams
from certctl_mcp.mcp_server.call_meter import CallMeter
from certctl_mcp.runtime.lifespan import Opening


@dataclass(frozen=True, slots=True)
class ServingState:
    """One per process."""

    opened: Opening
    shutting_down: anyio.Event = field(default_factory=anyio.Event)
    """Set when shutdown begins."""
    long_work: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))
    """Limits work on long texts in threads to one at a time, so that the event loop isn't starved."""
    streams: Streams = field(default_factory=Streams)
    shared: SharedResponses = field(default_factory=SharedResponses)
    requests: RequestMetrics = field(default_factory=RequestMetrics)
    calls: CallMeter = field(default_factory=CallMeter)

    @property
    def settings(self) -> Settings:
        """The settings in effect."""
        return self.opened.settings

    def begin_shutdown(self) -> None:
        """Claim nothing more, fail readiness probes and end event streams. Requests in flight go on."""
        self.shutting_down.set()
        self.streams.end_for_good()
        self.opened.leave()


async def state_of(request: Request) -> ServingState:
    """A dependency of routes; async, because FastAPI runs other dependencies in a thread."""
    return serving_state(request)


def serving_state(request: Request) -> ServingState:
    """For dependencies: one that depends on another costs several times as much as a call."""
    state = request.app.state.serving
    assert isinstance(state, ServingState)
    return state
