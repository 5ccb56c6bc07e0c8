"""`summary`: how does everything stand?"""

from certctl_mcp.cli.commands.options import ConfigFile
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format


def summary(json: Format = Format.TEXT, config: ConfigFile = None) -> int:
    """Count notifications, certificates, agents and jobs."""
    from certctl_mcp.cli.commands.running import with_application
    from certctl_mcp.cli.terminal.output import print_all, print_json
    from certctl_mcp.cli.terminal.overview import summary_tables
    from certctl_mcp.runtime.application import Application
    from certctl_mcp.services.dashboard import DashboardSummary

    async def counted(application: Application) -> DashboardSummary:
        return await application.stats.dashboard_summary()

    found = with_application(config, counted)
    if json:
        print_json(found, json)
    else:
        print_all(summary_tables(found))
    return ExitCode.DONE
