"""The applications on an open database: the first one, and those that have successively replaced it.

Each is open in its own task, so that one can close while the next one delivers.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup, TaskStatus

if TYPE_CHECKING:
    from certctl_mcp.runtime.application import Application


class Generations:
    """Keeps applications open, each until it has been replaced or all of them close."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._closing = anyio.Event()

    async def open(self, opening: "AbstractAsyncContextManager[Application]") -> "Application":
        """Enter the context, and leave it when its application has ended. Raises what entering raises."""
        application: Application = await self._tasks.start(self._keep_open, opening)
        return application

    def close(self) -> None:
        """End all of them; attempts in flight get the grace period."""
        self._closing.set()

    async def _keep_open(
        self,
        opening: "AbstractAsyncContextManager[Application]",
        *,
        task_status: "TaskStatus[Application]",
    ) -> None:
        async with opening as application:
            task_status.started(application)
            await _first_of(application.retired, self._closing)
            application.retry_loop.stop()
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(_cancel_after, self._closing, waiting.cancel_scope)
                await application.retry_loop.wait_for_completion()
                waiting.cancel_scope.cancel()


@asynccontextmanager
async def generations() -> AsyncIterator[Generations]:
    """Leaving the context closes them. An exception of the body is raised as it is, not in a group."""
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        opened = Generations(tasks)
        try:
            yield opened
        except Exception as raised:  # noqa: BLE001 - raised again below
            failure = raised
        finally:
            opened.close()
    if failure is not None:
        raise failure


async def _first_of(*events: anyio.Event) -> None:
    async with anyio.create_task_group() as waiting:
        for event in events:
            waiting.start_soon(_cancel_after, event, waiting.cancel_scope)


async def _cancel_after(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
