"""The events that end a process, a signal or its parent's death, and the signal that reloads settings."""

import os
import signal
from collections.abc import Callable

import anyio
from anyio.abc import TaskStatus

from certctl_mcp.runtime.platform import ENDING_SIGNALS, HANG_UP, receive_signals, wait_for_parent_exit

SIGNALS = ENDING_SIGNALS


async def leave_on_signal(
    leave: Callable[[str], None],
    reload: Callable[[], None] | None = None,
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Call `leave` with the name of the first of `SIGNALS` to arrive; the next one ends the process at once.

    With `reload`, SIGHUP calls that instead, unless the terminal on which the process was started is gone.

    Runs until cancelled; signals are handled from `task_status.started()` on. Main thread only.
    """
    leaving = False
    on_terminal = os.isatty(0)
    with receive_signals() as signals:
        task_status.started()
        async for number in signals:
            if reload is not None and number is HANG_UP and not (on_terminal and not os.isatty(0)):
                reload()
                continue
            if leaving:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            leaving = True
            leave(number.name)


async def leave_with_parent(leave: Callable[[str], None], parent: int) -> None:
    """Call `leave` once `parent`, as returned by `os.getppid()`, has died."""
    await wait_for_parent_exit(parent)
    leave("the parent process died")
