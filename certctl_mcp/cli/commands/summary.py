"""`summary`: the state of the queue and of certctl's fleet."""

from certctl_mcp.cli.commands.options import ConfigFile
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format


def summary(json: Format = Format.TEXT, config: ConfigFile = None) -> int:
    """Count notifications, certificates, agents and jobs."""
    from certctl_mcp.cli.commands.running import with_application
    from certctl_mcp.cli.terminal.documents import Summary
    from certctl_mcp.cli.terminal.output import print_all, print_json
    from certctl_mcp.cli.terminal.overview import summary_tables
    from certctl_mcp.runtime.application import Application

    async def counted(application: Application) -> Summary:
        counts = await application.stats.dashboard_summary()
        return Summary(**dict(counts), database=application.location)

    found = with_application(config, counted)
    if json:
        print_json(found, json)
    else:
        print_all(summary_tables(found))
    return ExitCode.DONE
