"""`diagnose`: the causes of dead letters, and what to do about each."""

from typing import TYPE_CHECKING, Annotated

import typer

from certctl_mcp.cli.commands.filters import filter_options, option_errors
from certctl_mcp.cli.commands.options import ConfigFile
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format

if TYPE_CHECKING:
    from certctl_mcp.services.filters import FilterArguments


@filter_options
def diagnose(
    wanted: "FilterArguments",
    dead_only: Annotated[
        bool,
        typer.Option("--dead-only", help="Leave out notifications that have failed but aren't dead letters."),
    ] = False,
    json: Format = Format.TEXT,
    config: ConfigFile = None,
) -> int:
    """Group the dead letters by channel, cause and time, and say what to do about each group."""
    from certctl_mcp.cli.commands.running import with_application
    from certctl_mcp.cli.terminal.causes import cause_list, diagnosis_document
    from certctl_mcp.cli.terminal.output import print_all, print_json
    from certctl_mcp.runtime.application import Application
    from storage.clock import utc_now

    if wanted.status:
        raise typer.BadParameter("is not for diagnose; --dead-only is", param_hint="--status")
    now = utc_now()
    with option_errors():
        selected = wanted.filter(now)

    async def diagnosed(application: Application) -> int:
        service = application.notifications
        found = await service.diagnose(selected, now, include_failing=not dead_only)
        if not found.findings:
            await service.check_names(selected)
        document = diagnosis_document(found)
        if json:
            print_json(document, json)
        else:
            print_all(cause_list(document, now))
        return ExitCode.DONE

    return with_application(config, diagnosed)
