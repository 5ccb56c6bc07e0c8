"""`list`: the notifications, and with --follow new ones as they appear."""

import sys
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from certctl_mcp.cli.commands.filters import filter_options, option_errors
from certctl_mcp.cli.commands.options import ConfigFile
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format

if TYPE_CHECKING:
    from certctl_mcp.runtime.application import Application
    from certctl_mcp.services.filters import FilterArguments
    from storage.models import Notification, NotificationFilter, NotificationPage


@filter_options
def list_(
    wanted: "FilterArguments",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="Show at most this many.")] = 50,
    cursor: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Continue after a page, given its next_cursor.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show all of them, page by page.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Then print more as soon as they match, until Ctrl-C.")
    ] = False,
    json: Format = Format.TEXT,
    config: ConfigFile = None,
) -> int:
    """List notifications, newest first. Every given filter must match."""
    from certctl_mcp.cli.commands.running import with_application
    from storage.clock import utc_now

    if follow and (every or cursor is not None or json is Format.JSON):
        raise typer.BadParameter(
            "needs text or -o ndjson, and can't be combined with --all or --cursor", param_hint="--follow"
        )
    with option_errors():
        selected = wanted.filter(utc_now())

    async def listed(application: "Application") -> int:
        pages = _pages(application, selected, limit, cursor, every=every)
        if json is Format.JSON:
            await _print_document(pages, application.location)
            return ExitCode.DONE
        page = await anext(pages)
        _print_rows(page.items, json)
        async for page in pages:
            _print_rows(page.items, json, headings=False)
        if follow:
            return await _follow(application, selected, page, json)
        _print_rest(page, application.location, json)
        return ExitCode.DONE

    return with_application(config, listed)


async def _pages(
    application: "Application",
    selected: "NotificationFilter",
    limit: int,
    cursor: str | None,
    *,
    every: bool,
) -> "AsyncIterator[NotificationPage]":
    """The page at the cursor and, if `every` is true, all pages after it.

    Raises:
        RequestError: nothing matches because a name in the filter is misspelt.
    """
    page = await application.repository.list(selected, limit=limit, cursor=cursor)
    if not page.items:
        await application.notifications.check_names(selected)
    yield page
    while every and page.next_cursor is not None:
        page = await application.repository.list(selected, limit=limit, cursor=page.next_cursor)
        yield page


async def _print_document(pages: "AsyncIterator[NotificationPage]", location: str) -> None:
    from certctl_mcp.cli.terminal.documents import Listing
    from certctl_mcp.cli.terminal.output import print_json

    items: list[Notification] = []
    next_cursor = None
    async for page in pages:
        items += page.items
        next_cursor = page.next_cursor
    print_json(Listing(database=location, data=tuple(items), next_cursor=next_cursor), Format.JSON)


def _print_rows(rows: "Sequence[Notification]", json: Format, *, headings: bool = True) -> None:
    from certctl_mcp.cli.terminal.notifications import notification_rows
    from certctl_mcp.cli.terminal.output import output, print_all, print_json
    from storage.clock import utc_now

    if json is Format.NDJSON:
        for row in rows:
            print_json(row, json)
    elif rows:
        print_all(notification_rows(rows, utc_now(), output().width, headings=headings))
    # With --follow, the pipe's buffer would keep them until many more have come.
    sys.stdout.flush()


async def _follow(
    application: "Application", selected: "NotificationFilter", page: "NotificationPage", json: Format
) -> int:
    from certctl_mcp.cli.commands.following import follow_matches

    async for found in follow_matches(application.repository, selected, page.items):
        _print_rows(found, json, headings=False)
    return ExitCode.INTERRUPTED


def _print_rest(page: "NotificationPage", location: str, json: Format) -> None:
    """Notes for a person: that nothing was found, and where, or that there is more."""
    from rich.console import Console
    from rich.text import Text

    if not page.items and json is Format.TEXT:
        typer.echo(f"No notification in {location} matches.", err=True)
    elif sys.stderr.isatty():
        Console(stderr=True, highlight=False).print(Text(f"Database: {location}", style="dim"))
    if page.next_cursor is not None:
        typer.echo(f"There are more: add --cursor {page.next_cursor}, or --all.", err=True)
