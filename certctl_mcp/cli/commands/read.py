"""`read`: take the matter as settled."""

from functools import partial
from typing import Annotated

import typer

from certctl_mcp.cli.commands.completion import complete_id
from certctl_mcp.cli.commands.options import AsJson, ConfigFile
from certctl_mcp.cli.terminal.exit_codes import ExitCode


def read(
    ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Notifications.", autocompletion=complete_id)
    ],
    json: AsJson = False,
    config: ConfigFile = None,
) -> ExitCode:
    """Mark notifications as read: nothing is left to do.

    One not delivered yet is not delivered any more.
    """
    from certctl_mcp.cli.commands.batches import change_each
    from certctl_mcp.cli.commands.running import operator, with_application
    from certctl_mcp.cli.terminal.changes import tell_changes
    from certctl_mcp.cli.terminal.documents import Changes
    from certctl_mcp.cli.terminal.progress import progress_bar
    from certctl_mcp.runtime.application import Application

    wanted = list(dict.fromkeys(ids))

    async def marked(application: Application) -> Changes:
        with progress_bar("Marking as read", len(wanted)) as advance:
            mark_as_read = partial(application.notifications.mark_as_read, actor=operator())
            return await change_each(wanted, mark_as_read, advance)

    return tell_changes(with_application(config, marked), "marked as read", json=json)
