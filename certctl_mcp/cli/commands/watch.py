"""`watch`: show the summary, updated whenever something changes."""

import sys
from collections.abc import Callable

from certctl_mcp.cli.commands.options import ConfigFile
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format

PAUSE = 1.0
"""Seconds between two updates, however busy the queue."""


def watch(json: Format = Format.TEXT, config: ConfigFile = None) -> int:
    """Show the state of the queue and the channels until Ctrl-C, updated whenever something changes.

    In a pipe, each update follows the one before it.
    """
    import anyio
    from rich.console import Group, RenderableType
    from rich.live import Live

    from certctl_mcp.cli.commands.interruptible import unless_interrupted
    from certctl_mcp.cli.commands.running import with_application
    from certctl_mcp.cli.terminal.documents import Summary
    from certctl_mcp.cli.terminal.output import output, print_all, print_json
    from certctl_mcp.cli.terminal.overview import channel_table, summary_tables
    from certctl_mcp.runtime.application import Application

    async def watched(application: Application, show: Callable[[RenderableType], None]) -> None:
        while True:
            version = application.repository.changes.version
            counts = await application.stats.dashboard_summary()
            summary = Summary(**dict(counts), database=application.location)
            if json:
                print_json(summary, Format.NDJSON)
            else:
                channels = await application.notifications.channels.health()
                table = channel_table(channels, summary.completed_at)
                show(Group(summary_tables(summary), "", table))
            # Otherwise a pipe's buffer would keep it until several more have come.
            sys.stdout.flush()
            await anyio.sleep(PAUSE)
            await application.repository.changes.wait_beyond(version)

    async def until_interrupted(application: Application) -> int:
        if not output().is_terminal:
            await unless_interrupted(lambda: watched(application, lambda table: print_all(table, "")))
            return ExitCode.INTERRUPTED
        with Live(console=output(), auto_refresh=False) as live:
            await unless_interrupted(
                lambda: watched(application, lambda table: live.update(table, refresh=True))
            )
        return ExitCode.INTERRUPTED

    return with_application(config, until_interrupted)
