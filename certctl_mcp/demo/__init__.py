"""Can it be seen working before it is trusted? Alerts past receivers that misbehave, all on this machine.

The server and its database, the SMTP server, the HTTP receivers and the MCP client are real. They talk over
loopback and pipes; what is kept lies in a temporary directory that is removed at the end.
"""

from importlib.util import find_spec

import anyio
from anyio.abc import TaskStatus

from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode
from certctl_mcp.runtime.signals import SIGNALS


def run_demo() -> int:
    """Tell the story on stdout, and give 0 if the receivers confirm it.

    Raises:
        CommandFailedError: the extra `demo` is not installed.
    """
    if find_spec("aiosmtpd") is None:
        raise CommandFailedError(
            ExitCode.NOT_DONE, "the demo's SMTP server is missing: pip install 'certctl-mcp[demo]'"
        )
    return anyio.run(_play_until_told_to_leave)


async def _play_until_told_to_leave() -> int:
    from certctl_mcp.demo.play import play
    from certctl_mcp.demo.story import Story

    story = Story()
    proven: bool | None = None
    async with anyio.create_task_group() as tasks:
        await tasks.start(_leave_on_signal, tasks.cancel_scope)
        proven = await play(story)
        tasks.cancel_scope.cancel()
    if proven is None:
        story.title("Stopped. The server has ended, and nothing is left on disk.")
        return ExitCode.INTERRUPTED
    return ExitCode.DONE if proven else ExitCode.NOT_DONE


async def _leave_on_signal(
    playing: anyio.CancelScope, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Cancel on any of the signals; a second one changes nothing, so that cleaning up is always finished."""
    with anyio.open_signal_receiver(*SIGNALS) as signals:
        task_status.started()
        async for _ in signals:
            playing.cancel()
