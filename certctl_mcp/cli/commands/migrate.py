"""`migrate`: bring the schema up to date now, instead of at a server's next start."""

import os
from typing import Annotated

import typer

from certctl_mcp.cli.commands.options import ConfigFile
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format


def migrate(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be added, and add nothing.")
    ] = False,
    json: Format = Format.TEXT,
    config: ConfigFile = None,
) -> int:
    """Add the parts of the schema that the database lacks. Running it again changes nothing.

    Existing columns and rows are not changed, so certctl's server keeps working on the same table.
    """
    import anyio

    from certctl_mcp.cli.commands.exit_on_error import command_failures
    from certctl_mcp.cli.terminal.documents import Migration
    from certctl_mcp.cli.terminal.output import print_json
    from certctl_mcp.config.settings import load_settings
    from storage.maintenance.migrate import migrated, planned
    from storage.schema.migrations import REVISIONS

    with command_failures():
        url = load_settings(config, os.environ).database_url.get_secret_value()
        done = anyio.run(planned if dry_run else migrated, url)
    if json:
        document = Migration(
            database=done.location,
            revision_before=done.found_revision,
            revision=done.found_revision if dry_run else REVISIONS[-1],
            added=() if dry_run else done.added,
            missing=done.added if dry_run else (),
        )
        print_json(document, json)
        return ExitCode.DONE
    if done.found_revision == REVISIONS[-1] and not done.added:
        print(f"{done.location} is up to date: revision {done.found_revision}")
        return ExitCode.DONE
    would = "would go " if dry_run else ""
    print(f"{done.location}: {would}from {done.found_revision or 'no revision'} to revision {REVISIONS[-1]}")
    for part in done.added:
        print(f"  {'would add' if dry_run else 'added'} {part}")
    return ExitCode.DONE
