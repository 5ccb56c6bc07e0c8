"""`summary`: how does everything stand?"""

from certctl_mcp.commands.failures import ExitCode
from certctl_mcp.commands.options import AsJson, ConfigFile


def summary(json: AsJson = False, config: ConfigFile = None) -> int:
    """Count notifications, certificates, agents and jobs."""
    from certctl_mcp.application import Application
    from certctl_mcp.commands.running import with_application
    from certctl_mcp.summary import DashboardSummary
    from certctl_mcp.terminal.output import print_all, print_json
    from certctl_mcp.terminal.overview import summary_tables

    async def counted(application: Application) -> DashboardSummary:
        return await application.stats.dashboard_summary()

    found = with_application(config, counted)
    if json:
        print_json(found)
    else:
        print_all(summary_tables(found))
    return ExitCode.DONE
