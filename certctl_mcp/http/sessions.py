"""The open MCP sessions: each caller has a share, and the longest idle session gives way to a new one.

The SDK has a single limit, above which it refuses everyone until sessions have been idle for half an hour.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

MAX_SESSIONS = 1000
MAX_PER_CALLER = 100
"""The most sessions open at once. Only protocol revisions before 2026-07-28 have sessions."""


@dataclass(eq=False, slots=True)
class Session:
    """An open session."""

    id: str
    caller: str
    manager: StreamableHTTPSessionManager
    user: AuthenticatedUser
    requests: int = 0
    """The requests in flight, including an open event stream."""
    used_at: float = field(default_factory=time.monotonic)


class Sessions:
    """All sessions of a process, by their ids."""

    def __init__(self, limit: int = MAX_SESSIONS, per_caller: int = MAX_PER_CALLER) -> None:
        self._limit = limit
        self._per_caller = per_caller
        self._open: dict[str, Session] = {}

    def find(self, session_id: str) -> Session | None:
        return self._open.get(session_id)

    def add(self, session: Session) -> None:
        self._open[session.id] = session

    def remove(self, session_id: str) -> None:
        self._open.pop(session_id, None)

    @contextmanager
    def using(self, session: Session) -> Iterator[None]:
        """While a request of the session is in flight, it is not ended."""
        session.requests += 1
        try:
            yield
        finally:
            session.requests -= 1
            session.used_at = time.monotonic()

    def sessions_to_end(self, caller: str) -> Sequence[Session] | None:
        """The sessions to end before `caller` may open one; None if it must wait until one is idle."""
        own = [session for session in self._open.values() if session.caller == caller]
        if len(own) >= self._per_caller:
            return _longest_idle(own)
        if len(self._open) >= self._limit:
            return _longest_idle(self._open.values())
        return ()


def _longest_idle(sessions: Iterable[Session]) -> Sequence[Session] | None:
    idle = [session for session in sessions if not session.requests]
    return (min(idle, key=lambda session: session.used_at),) if idle else None
