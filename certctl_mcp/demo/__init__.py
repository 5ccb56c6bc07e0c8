"""A demonstration of the queue at work: alerts sent to misbehaving receivers, all on this machine.

The server and its database, the SMTP server, the HTTP receivers and the MCP client are real. They communicate
over loopback and pipes; their files are in a temporary directory that is removed at the end.
"""

from enum import Enum
from importlib.util import find_spec

import anyio
from anyio.abc import TaskStatus

from certctl_mcp.runtime.signals import SIGNALS


class DemoUnavailableError(Exception):
    """The extra `demo` is not installed."""

    def __init__(self) -> None:
        super().__init__("the demo's SMTP server is missing: pip install 'certctl-mcp[demo]'")


class DemoResult(Enum):
    """How the demo ended."""

    PROVEN = "the receivers confirm every delivery"
    DISPROVEN = "the receivers' records differ from the expected ones"
    INTERRUPTED = "a signal stopped it"


def run_demo() -> DemoResult:
    """Run the demo and print what happens on stdout. Raises: DemoUnavailableError."""
    if find_spec("aiosmtpd") is None:
        raise DemoUnavailableError
    return anyio.run(_play_until_signalled)


async def _play_until_signalled() -> DemoResult:
    from certctl_mcp.demo.narrator import Narrator
    from certctl_mcp.demo.play import play

    narrator = Narrator()
    proven: bool | None = None
    async with anyio.create_task_group() as tasks:
        await tasks.start(_cancel_on_signal, tasks.cancel_scope)
        proven = await play(narrator)
        tasks.cancel_scope.cancel()
    if proven is None:
        narrator.title("Stopped. The server has exited, and all files have been removed.")
        return DemoResult.INTERRUPTED
    return DemoResult.PROVEN if proven else DemoResult.DISPROVEN


async def _cancel_on_signal(
    playing: anyio.CancelScope, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Cancel on the first signal. Later signals are ignored, so that the clean-up always finishes."""
    with anyio.open_signal_receiver(*SIGNALS) as signals:
        task_status.started()
        async for _ in signals:
            playing.cancel()
