"""Request coalescing: identical requests share one result, cached until the database changes.

A request never joins a computation that began before it arrived, which could miss what its caller has just
changed. It joins the next one, together with all others that arrive meanwhile.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from certctl_mcp.http.conditional import Document

MAX_CACHED = 64
LARGEST_CACHED = 256 * 1024
"""Bytes. A larger response is shared, but not cached."""

Version = Callable[[], Awaitable[int | None]]
"""A number that differs after every change; None if there is none."""


@dataclass(eq=False, slots=True)
class _Entry:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    next: "asyncio.Task[Document] | None" = None
    """The next computation, which has not begun yet."""
    cached: Document | None = None
    version: int | None = None
    """The version of the database when `cached` was computed."""


class SharedResponses:
    """The cached responses of a process, by request."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    async def get(self, key: str, compute: Callable[[], Awaitable[Document]], version: Version) -> Document:
        """The result of `compute`, possibly cached for the same version."""
        entry = self._entries.setdefault(key, _Entry())
        self._entries.move_to_end(key)
        if len(self._entries) > MAX_CACHED:
            self._entries.popitem(last=False)
        if entry.next is None:
            entry.next = asyncio.create_task(_compute(entry, compute, version))
            # A failure is raised for the requests that wait for the result, if there still are any.
            entry.next.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(entry.next)


async def _compute(entry: _Entry, compute: Callable[[], Awaitable[Document]], version: Version) -> Document:
    async with entry.lock:
        entry.next = None
        # Taken first, because a change during the computation makes another version.
        now = await version()
        if now is not None and now == entry.version and entry.cached is not None:
            return entry.cached
        document = await compute()
        entry.cached, entry.version = (
            (document, now) if len(document.body) <= LARGEST_CACHED else (None, None)
        )
        return document
