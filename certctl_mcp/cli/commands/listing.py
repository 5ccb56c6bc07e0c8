"""`list`: the notifications there are, and with --follow those that come."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from certctl_mcp.cli.commands.filters import filter_options, option_errors
from certctl_mcp.cli.commands.options import ConfigFile
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format

if TYPE_CHECKING:
    from certctl_mcp.services.filters import FilterArguments


@filter_options
def list_(
    wanted: "FilterArguments",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="At most so many.")] = 50,
    cursor: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Continue after a page, with its next_cursor.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them, page by page.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Then print others as soon as they match, until Ctrl-C.")
    ] = False,
    json: Format = Format.TEXT,
    config: ConfigFile = None,
) -> int:
    """List notifications, newest first. Every given filter must match."""
    from rich.console import Console
    from rich.text import Text

    from certctl_mcp.cli.commands.running import with_application
    from certctl_mcp.cli.terminal.documents import Listing
    from certctl_mcp.cli.terminal.notifications import notification_rows
    from certctl_mcp.cli.terminal.output import output, print_all, print_json
    from certctl_mcp.runtime.application import Application
    from storage.clock import utc_now
    from storage.models import Notification, NotificationPage

    if follow and (every or cursor is not None or json is Format.JSON):
        raise typer.BadParameter(
            "goes with text or -o ndjson, and not with --all or --cursor", param_hint="--follow"
        )
    with option_errors():
        selected = wanted.filter(utc_now())

    def print_rows(rows: "list[Notification]", *, headings: bool) -> None:
        if json is Format.NDJSON:
            for row in rows:
                print_json(row, json)
        elif rows:
            print_all(notification_rows(rows, utc_now(), output().width, headings=headings))

    async def listed(application: Application) -> int:
        page = await application.repository.list(selected, limit=limit, cursor=cursor)
        if not page.items:
            await application.notifications.check_names(selected)
        if json is Format.JSON:
            items = list(page.items)
            while every and page.next_cursor is not None:
                page = await application.repository.list(selected, limit=limit, cursor=page.next_cursor)
                items += page.items
            print_json(
                Listing(database=application.location, data=tuple(items), next_cursor=page.next_cursor)
            )
            return ExitCode.DONE
        print_rows(list(page.items), headings=True)
        while every and page.next_cursor is not None:
            page = await application.repository.list(selected, limit=limit, cursor=page.next_cursor)
            print_rows(list(page.items), headings=False)
        if follow:
            return await _follow(application, page)
        _print_rest(page, application.location)
        return ExitCode.DONE

    async def _follow(application: Application, page: NotificationPage) -> int:
        from certctl_mcp.cli.commands.following import follow_matches

        async for found in follow_matches(application.repository, selected, page.items):
            print_rows(found, headings=False)
        return ExitCode.INTERRUPTED

    def _print_rest(page: NotificationPage, location: str) -> None:
        if not page.items and json is Format.TEXT:
            typer.echo(f"No notification in {location} matches.", err=True)
        elif sys.stderr.isatty():
            Console(stderr=True, highlight=False).print(Text(f"Database: {location}", style="dim"))
        if page.next_cursor is not None:
            typer.echo(f"There are more: add --cursor {page.next_cursor}, or --all.", err=True)

    return with_application(config, listed)
