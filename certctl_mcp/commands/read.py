"""`read`: take the matter as settled."""

from typing import Annotated

import typer

from certctl_mcp.commands.completion import complete_id
from certctl_mcp.commands.failures import ExitCode
from certctl_mcp.commands.options import AsJson, ConfigFile


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
    from certctl_mcp.application import Application
    from certctl_mcp.commands.running import with_application
    from certctl_mcp.commands.several import change_each
    from certctl_mcp.terminal.changes import tell_changes
    from certctl_mcp.terminal.documents import Changes
    from certctl_mcp.terminal.progress import progress_bar

    wanted = list(dict.fromkeys(ids))

    async def marked(application: Application) -> Changes:
        with progress_bar("Marking as read", len(wanted)) as advance:
            return await change_each(wanted, application.notifications.mark_as_read, advance)

    return tell_changes(with_application(config, marked), "marked as read", json=json)
