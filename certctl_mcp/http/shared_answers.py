"""One computation for all who ask for the same: at the same time, or while the database hasn't changed.

A request never joins a computation that began before it arrived: that could miss what its caller has just
changed. It joins the next one, with all others that arrive meanwhile.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from certctl_mcp.http.conditional import Document

MOST_KEPT = 64
LARGEST_KEPT = 256 * 1024
"""Bytes. A larger answer is shared, but not kept."""

Version = Callable[[], Awaitable[int | None]]
"""A number that differs after every change; None if there is none."""


@dataclass(eq=False, slots=True)
class _Answer:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    next: "asyncio.Task[Document] | None" = None
    """The computation that has not begun yet."""
    kept: Document | None = None
    version: int | None = None
    """Of the database when `kept` was computed."""


class SharedAnswers:
    """The newest answers of a process, by what was asked."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, _Answer] = OrderedDict()

    async def get(self, asked: str, compute: Callable[[], Awaitable[Document]], version: Version) -> Document:
        """What `compute` returns, or has returned for the same version."""
        answer = self._answers.setdefault(asked, _Answer())
        self._answers.move_to_end(asked)
        if len(self._answers) > MOST_KEPT:
            self._answers.popitem(last=False)
        if answer.next is None:
            answer.next = asyncio.create_task(_compute(answer, compute, version))
            # A failure is raised where it is waited for, if anyone still waits.
            answer.next.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(answer.next)


async def _compute(answer: _Answer, compute: Callable[[], Awaitable[Document]], version: Version) -> Document:
    async with answer.turn:
        answer.next = None
        # Taken first: what changes during the computation makes another version.
        now = await version()
        if now is not None and now == answer.version and answer.kept is not None:
            return answer.kept
        document = await compute()
        answer.kept, answer.version = (document, now) if len(document.body) <= LARGEST_KEPT else (None, None)
        return document
