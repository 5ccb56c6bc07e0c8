"""`copy`: move a queue to another database, from SQLite to PostgreSQL or back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode
from certctl_mcp.cli.terminal.formats import Format

if TYPE_CHECKING:
    from certctl_mcp.cli.terminal.documents import Copy

MAX_NAMED = 10
"""The most differences that are listed."""


def _database_url(given: str) -> str:
    """A URL, either given directly or read from a file (`@PATH`), because other users can read a command
    line."""
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise typer.BadParameter("the file can't be read") from None


def copy(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="URL",
            envvar="CERTCTL_COPY_FROM",
            callback=_database_url,
            help="The database to copy; it is not changed.",
        ),
    ],
    target: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="URL",
            envvar="CERTCTL_COPY_TO",
            callback=_database_url,
            help="The database to copy to; created if needed.",
        ),
    ],
    json: Format = Format.TEXT,
) -> int:
    """Copy all notifications, attempts and the audit log to another database, and compare them.

    First stop the servers and workers on both. To resume an interrupted copy, or to catch up with a source
    that has changed, run the command again: changed rows are updated. The URLs have the form of
    CERTCTL_DATABASE_URL. Give a URL with a password in its variable, or in a file with `--to @PATH`.
    """
    import anyio

    from certctl_mcp.cli.commands.exit_on_error import command_failures
    from certctl_mcp.cli.terminal.output import print_json

    with command_failures():
        copied = anyio.run(_copied, source, target)
    if json:
        print_json(copied, json)
    else:
        _print(copied)
    if copied.differing:
        named = ", ".join(copied.differing[:MAX_NAMED])
        raise CommandFailedError(
            ExitCode.NOT_DONE,
            f"{len(copied.differing)} rows differ, because they were changed in {copied.target}: {named}",
        )
    return ExitCode.DONE


async def _copied(source: str, target: str) -> "Copy":
    from certctl_mcp.cli.terminal.documents import Copy
    from certctl_mcp.cli.terminal.progress import progress_bar
    from storage.database import Database
    from storage.maintenance.copy import copy
    from storage.maintenance.row_batches import count_notifications
    from storage.schema.migrations import Migrate

    async with Database.open(source, migrate=Migrate.NEVER) as here, Database.open(target) as there:
        if here.location == there.location:
            raise CommandFailedError(ExitCode.USAGE, "--from and --to are the same database")
        with progress_bar("copying and comparing", 2 * await count_notifications(here)) as advance:
            done = await copy(here, there, advance)
        return Copy(
            source=here.location,
            target=there.location,
            notifications=done.notifications,
            attempts=done.attempts,
            audit_entries=done.audit_entries,
            passed_over=done.passed_over,
            updated=done.updated,
            checksum=done.checksum,
            differing=done.differing,
        )


def _print(copied: "Copy") -> None:
    before = f", {copied.passed_over} of them already there" if copied.passed_over else ""
    updated = f", {copied.updated} of them updated" if copied.updated else ""
    print(f"notifications: {copied.notifications}{before}{updated}")
    print(f"attempts: {copied.attempts}")
    print(f"audit entries: {copied.audit_entries}")
    if not copied.differing:
        print(f"{copied.source} and {copied.target} have the same contents; checksum {copied.checksum}")
