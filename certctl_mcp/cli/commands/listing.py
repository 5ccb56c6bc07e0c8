"""`list`: which notifications are there?"""

from typing import TYPE_CHECKING, Annotated

import typer

from certctl_mcp.cli.commands.filters import filter_options, option_errors
from certctl_mcp.cli.commands.options import AsJson, ConfigFile
from certctl_mcp.cli.terminal.exit_codes import ExitCode

if TYPE_CHECKING:
    from certctl_mcp.services.filters import FilterArguments


@filter_options
def list_(
    wanted: "FilterArguments",
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many.")] = 50,
    cursor: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go on after a page: its next_cursor.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them, page by page.")] = False,
    json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """List notifications, newest first. All conditions given must hold."""
    from certctl_mcp.cli.commands.running import with_application
    from certctl_mcp.cli.terminal.documents import Listing
    from certctl_mcp.cli.terminal.notifications import notification_rows
    from certctl_mcp.cli.terminal.output import output, print_json
    from certctl_mcp.runtime.application import Application
    from storage.clock import utc_now
    from storage.models import NotificationPage

    with option_errors():
        selected = wanted.filter(utc_now())

    async def pages(application: Application) -> NotificationPage:
        page = await application.repository.list(selected, limit=limit, cursor=cursor)
        items = list(page.items)
        while every and page.next_cursor is not None:
            page = await application.repository.list(selected, limit=limit, cursor=page.next_cursor)
            items += page.items
        return NotificationPage(items=tuple(items), next_cursor=page.next_cursor)

    found = with_application(config, pages)
    if json:
        print_json(Listing(data=found.items, next_cursor=found.next_cursor))
    elif found.items:
        console = output()
        console.print(notification_rows(found.items, utc_now(), console.width))
    else:
        typer.echo("No notification matches.", err=True)
    if found.next_cursor is not None and not json:
        typer.echo(f"There are more: add --cursor {found.next_cursor}, or --all.", err=True)
    return ExitCode.DONE
