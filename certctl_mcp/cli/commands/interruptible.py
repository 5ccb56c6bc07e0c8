"""Work that the first signal cancels, so that the command can still report what was done."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from certctl_mcp.runtime.signals import leave_on_signal

Result = TypeVar("Result")


async def unless_interrupted(work: Callable[[], Awaitable[Result]]) -> Result | None:
    """The result of `work`; None if a signal cancelled it. A second signal ends the process."""
    result: Result | None = None
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            await tasks.start(leave_on_signal, lambda _signal: scope.cancel())
            try:
                result = await work()
            except Exception as raised:  # noqa: BLE001 - raised again below, outside of the task group
                failure = raised
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return result
