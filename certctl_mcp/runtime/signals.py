"""When must a process of ours leave? When it is told to by a signal, or when its parent has died."""

import os
import signal
from collections.abc import Callable
from datetime import timedelta

import anyio
from anyio.abc import TaskStatus

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_LOOK_FOR_PARENT = timedelta(seconds=1)
"""How often, where the kernel can't tell of its death."""


async def leave_on_signal(
    leave: Callable[[str], None], *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Call `leave` with the name of the first of `SIGNALS` to come; the next one ends the process at once.

    Runs until cancelled; the signals are held from `task_status.started()` on. Main thread only.
    """
    told = False
    with anyio.open_signal_receiver(*SIGNALS) as signals:
        task_status.started()
        async for number in signals:
            if told:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            told = True
            leave(number.name)


async def leave_with_parent(leave: Callable[[str], None], parent: int) -> None:
    """Call `leave` once `parent`, as `os.getppid()` gave it, has died."""
    await _death_of_parent(parent)
    leave("the parent process died")


async def _death_of_parent(parent: int) -> None:
    try:
        handle = os.pidfd_open(parent)
    except (AttributeError, OSError):
        await _adoption(parent)
        return
    try:
        # The number may have gone to another process before the handle was open; being adopted tells.
        if os.getppid() == parent:
            await anyio.wait_readable(handle)
    finally:
        os.close(handle)


async def _adoption(parent: int) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110 (there is no event to wait for)
        await anyio.sleep(_LOOK_FOR_PARENT.total_seconds())
