"""Shell completion, from the settings and the database.

A shell can't show an error message, so if there is a problem nothing is offered.
"""

import os
from pathlib import Path

import typer

MAX_IDS = 50


def complete_status() -> list[str]:
    from storage.models import NotificationStatus

    return [status.value for status in NotificationStatus]


def complete_type() -> list[str]:
    from storage.models import NotificationType

    return [kind.value for kind in NotificationType]


def complete_channel(context: typer.Context) -> list[str]:
    from certctl_mcp.config.errors import SettingsError
    from certctl_mcp.config.settings import load_settings

    try:
        return [channel.name for channel in load_settings(_config(context), os.environ).channels]
    except SettingsError:
        return []


def complete_id(context: typer.Context) -> list[tuple[str, str]]:
    """The newest dead letters, which are the ones that need action."""
    from certctl_mcp.cli.commands.running import with_application
    from certctl_mcp.cli.terminal.exit_codes import CommandFailedError
    from certctl_mcp.runtime.application import Application
    from certctl_mcp.text.untrusted import escape_hidden
    from storage.models import NotificationFilter, NotificationPage, NotificationStatus

    async def dead_letters(application: Application) -> NotificationPage:
        wanted = NotificationFilter(statuses=(NotificationStatus.DEAD,))
        return await application.repository.list(wanted, limit=MAX_IDS)

    try:
        found = with_application(_config(context), dead_letters).items
    except CommandFailedError:
        return []
    return [
        (notification.id, escape_hidden(f"{notification.type} on {notification.channel}"))
        for notification in found
        # An id from another program could be split by the shell, or control the terminal.
        if notification.id.isascii() and notification.id.isprintable() and " " not in notification.id
    ]


def _config(context: typer.Context) -> Path | None:
    """No callback runs during completion, so both places are checked here."""
    for params in (context.params, context.parent.params if context.parent else {}):
        if params.get("config"):
            return Path(params["config"])
    return None
