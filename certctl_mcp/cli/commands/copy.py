"""`copy`: move a queue to another database, from SQLite to PostgreSQL or back."""

from pathlib import Path
from typing import Annotated

import typer

from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode
from certctl_mcp.cli.terminal.formats import Format

MOST_NAMED = 10
"""Differences that are named."""


def _database_url(given: str) -> str:
    """A URL as it is, or from the file that `@PATH` names: others can read a command line."""
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
            help="The database to copy; it stays as it is.",
        ),
    ],
    target: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="URL",
            envvar="CERTCTL_COPY_TO",
            callback=_database_url,
            help="The one to copy to, made as needed.",
        ),
    ],
    json: Format = Format.TEXT,
) -> int:
    """Copy all notifications, attempts and the audit log to another database, and compare them.

    Stop the servers and workers on both first. A copy that was interrupted, or whose source went on, is
    resumed by running it again: rows that have changed are updated. The URLs are as in CERTCTL_DATABASE_URL.
    One with a password comes from its variable, or from a file by `--to @PATH`.
    """
    import anyio

    from certctl_mcp.cli.commands.exit_on_error import command_failures
    from certctl_mcp.cli.terminal.documents import Copy
    from certctl_mcp.cli.terminal.output import print_json
    from certctl_mcp.cli.terminal.progress import progress_bar
    from storage.database import Database
    from storage.maintenance.copy import Copied, copy
    from storage.maintenance.row_batches import count_notifications
    from storage.schema.migrations import Migrate

    async def copied() -> tuple[Copied, str, str]:
        async with Database.open(source, migrate=Migrate.NEVER) as here, Database.open(target) as there:
            if here.location == there.location:
                raise CommandFailedError(ExitCode.USAGE, "--from and --to are the same database")
            total = 2 * await count_notifications(here)
            with progress_bar("copying and comparing", total) as advance:
                return await copy(here, there, advance), here.location, there.location

    with command_failures():
        done, here, there = anyio.run(copied)
    if json:
        print_json(
            Copy(
                source=here,
                target=there,
                notifications=done.notifications,
                attempts=done.attempts,
                audit_entries=done.audit_entries,
                passed_over=done.passed_over,
                updated=done.updated,
                checksum=done.checksum,
                differing=done.differing,
            ),
            json,
        )
    else:
        before = f", {done.passed_over} of them already there" if done.passed_over else ""
        before += f", {done.updated} of them updated" if done.updated else ""
        print(f"notifications: {done.notifications}{before}")
        print(f"attempts: {done.attempts}")
        print(f"audit entries: {done.audit_entries}")
        if not done.differing:
            print(f"{here} and {there} hold the same; checksum {done.checksum}")
    if done.differing:
        named = ", ".join(done.differing[:MOST_NAMED])
        raise CommandFailedError(
            ExitCode.NOT_DONE,
            f"{len(done.differing)} rows differ in {there}, because it has changed them by itself: {named}",
        )
    return ExitCode.DONE
