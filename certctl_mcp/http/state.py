"""What do the parts of the HTTP server share? What is open, what is configured, and whether it is to end."""

from dataclasses import dataclass, field

import anyio
from fastapi import Request

from certctl_mcp.config.settings import Settings
from certctl_mcp.http.monitoring.requests import Traffic
from certctl_mcp.runtime.lifespan import Opening


@dataclass(frozen=True, slots=True)
class ServingState:
    """One for a process."""

    opened: Opening
    settings: Settings
    leaving: anyio.Event = field(default_factory=anyio.Event)
    """Set when the server is to end."""
    traffic: Traffic = field(default_factory=Traffic)

    def leave(self) -> None:
        """Begin to end: claim nothing, tell probes, end the streams of events. Answers under way go on."""
        self.leaving.set()
        self.opened.leave()


async def state_of(request: Request) -> ServingState:
    """For routes, as a dependency; one that is no coroutine would be run in a thread."""
    state = request.app.state.serving
    assert isinstance(state, ServingState)
    return state
