"""`requeue`: put dead letters back in the queue, chosen by id or by a filter."""

from typing import TYPE_CHECKING

from certctl_mcp.cli.commands.filters import filter_options
from certctl_mcp.cli.commands.options import ConfigFile, DryRun, Ids, NoMigrate, Yes
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format

if TYPE_CHECKING:
    from certctl_mcp.services.filters import FilterArguments


@filter_options
def requeue(
    wanted: "FilterArguments",
    ids: Ids = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Format = Format.TEXT,
    no_migrate: NoMigrate = False,
    config: ConfigFile = None,
) -> ExitCode:
    """Put dead letters back in the queue, with no failed attempts counted.

    Give ids or a filter. A filter without --status selects dead letters; you see how many there are and must
    confirm before anything is changed. A running worker or server attempts them at once. If only certctl's
    server delivers, it sends each of them once.
    """
    from certctl_mcp.cli.commands.bulk import run_bulk
    from storage.models import AuditAction

    return run_bulk(
        AuditAction.REQUEUE,
        ids or (),
        wanted,
        yes=yes,
        dry_run=dry_run,
        json=json,
        no_migrate=no_migrate,
        config=config,
    )
