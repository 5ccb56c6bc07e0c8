"""`show`: all about one notification."""

from certctl_mcp.cli.commands.options import AsJson, ConfigFile, Id
from certctl_mcp.cli.terminal.exit_codes import ExitCode


def show(id_: Id, json: AsJson = False, config: ConfigFile = None) -> int:
    """Show a notification, its attempts, and what comes next."""
    from certctl_mcp.cli.commands.running import with_application
    from certctl_mcp.cli.terminal.detail import notification_detail
    from certctl_mcp.cli.terminal.documents import Detail
    from certctl_mcp.cli.terminal.output import print_all, print_json
    from certctl_mcp.runtime.application import Application
    from certctl_mcp.services.history import COMMANDS, account
    from storage.clock import utc_now

    now = utc_now()

    async def found(application: Application) -> Detail:
        notification, attempts = await application.notifications.get(id_)
        attempts_in_all = application.settings.max_attempts
        told = account(notification, attempts, now, max_attempts=attempts_in_all, remedies=COMMANDS)
        return Detail(notification=notification, attempts=attempts, account=told)

    detail = with_application(config, found)
    if json:
        print_json(detail)
    else:
        print_all(notification_detail(detail, now))
    return ExitCode.DONE
