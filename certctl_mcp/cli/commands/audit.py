"""`audit`: who did what, and when."""

from typing import Annotated

import typer

from certctl_mcp.cli.commands.completion import complete_id
from certctl_mcp.cli.commands.options import ConfigFile
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format


def audit(
    id_: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="Only entries about this notification.", autocompletion=complete_id
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=10_000, help="Show at most this many.")
    ] = 50,
    json: Format = Format.TEXT,
    config: ConfigFile = None,
) -> int:
    """Show who sent, requeued, settled or deleted what, newest first. Deleted notifications are included."""
    from certctl_mcp.cli.commands.running import with_application
    from certctl_mcp.cli.terminal.audit import AuditLog, audit_rows
    from certctl_mcp.cli.terminal.output import print_all, print_json
    from certctl_mcp.runtime.application import Application

    async def shown(application: Application) -> int:
        entries = await application.notifications.audit_log(id_, limit=limit)
        if json is Format.NDJSON:
            for entry in entries:
                print_json(entry, json)
        elif json:
            print_json(AuditLog(data=entries), json)
        elif entries:
            print_all(*audit_rows(entries))
        else:
            typer.echo("No audit entries.", err=True)
        return ExitCode.DONE

    return with_application(config, shown)
