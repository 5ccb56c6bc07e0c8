"""`purge`: delete notifications that are no longer needed."""

from typing import TYPE_CHECKING, Annotated

import typer

from certctl_mcp.cli.commands.filters import filter_options
from certctl_mcp.cli.commands.options import ConfigFile, DryRun, NoMigrate, Yes
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format

if TYPE_CHECKING:
    from certctl_mcp.services.filters import FilterArguments


@filter_options
def purge(
    wanted: "FilterArguments",
    dry_run: DryRun = False,
    yes: Yes = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing unless it fails; for cron.")
    ] = False,
    json: Format = Format.TEXT,
    no_migrate: NoMigrate = False,
    config: ConfigFile = None,
) -> ExitCode:
    """Permanently delete notifications and their attempts.

    --until is required, such as --until 90d. Without --status, sent and read notifications are deleted; dead
    letters only with --status dead. Notifications that are still to be delivered are never deleted. You see
    how many there are and must confirm. From cron, use --yes --quiet. To delete without cron, see [retention]
    in the settings.
    """
    from certctl_mcp.cli.commands.bulk import run_bulk
    from storage.models import AuditAction

    return run_bulk(
        AuditAction.PURGE,
        None,
        wanted,
        yes=yes,
        dry_run=dry_run,
        json=json,
        no_migrate=no_migrate,
        config=config,
        quiet=quiet,
    )
