"""`show`: one notification in full."""

from certctl_mcp.cli.commands.options import ConfigFile, Id
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format


def show(id_: Id, json: Format = Format.TEXT, config: ConfigFile = None) -> int:
    """Show a notification, its attempts, and what happens next."""
    from certctl_mcp.cli.commands.running import with_application
    from certctl_mcp.cli.terminal.detail import notification_detail
    from certctl_mcp.cli.terminal.documents import Detail
    from certctl_mcp.cli.terminal.output import print_all, print_json
    from certctl_mcp.runtime.application import Application
    from certctl_mcp.services.history import account
    from certctl_mcp.services.next_steps import COMMANDS
    from storage.clock import utc_now

    now = utc_now()

    async def shown(application: Application) -> int:
        notification_id = await application.notifications.ids.complete(id_)
        notification, attempts = await application.notifications.get(notification_id)
        replacement = await application.repository.replacement(notification_id)
        limit = application.settings.max_attempts
        explanation = account(
            notification,
            attempts,
            now,
            max_attempts=limit,
            remedies=COMMANDS,
            deliverer=await application.notifications.channels.deliverer(notification.channel),
            grace=application.settings.rescue_grace,
            replacement=replacement,
            closed=await application.notifications.channels.closure(notification.channel),
        )
        replaced_by = None if replacement is None else replacement.id
        certificates = await application.notifications.certificates([notification])
        detail = Detail(
            notification=notification,
            attempts=attempts,
            account=str(explanation),
            replaced_by=replaced_by,
            certificate=certificates.get(notification_id),
        )
        if json:
            print_json(detail, json)
        else:
            print_all(notification_detail(detail, now, limit))
        return ExitCode.DONE

    return with_application(config, shown)
