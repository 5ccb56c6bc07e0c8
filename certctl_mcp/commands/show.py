"""`show`: all about one notification."""

from certctl_mcp.commands.failures import ExitCode
from certctl_mcp.commands.options import AsJson, ConfigFile, Id


def show(id_: Id, json: AsJson = False, config: ConfigFile = None) -> int:
    """Show a notification, its attempts, and what comes next."""
    from certctl_mcp.account import COMMANDS, account
    from certctl_mcp.application import Application
    from certctl_mcp.commands.running import with_application
    from certctl_mcp.terminal.detail import notification_detail
    from certctl_mcp.terminal.documents import Detail
    from certctl_mcp.terminal.output import print_all, print_json
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
