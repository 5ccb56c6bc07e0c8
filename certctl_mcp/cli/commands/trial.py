"""Sends a test message over a channel, with an entry in the audit log if there is a queue."""

from certctl_mcp.cli.commands.running import operator, without_queue
from certctl_mcp.config.settings import Settings
from certctl_mcp.delivery.trial import TYPE, TrialResult
from certctl_mcp.runtime.application import open_application
from certctl_mcp.runtime.existing_queue import require_queue
from storage.errors import DatabaseReadOnlyError, MissingQueueError


async def send_trial(settings: Settings, channel: str, recipient: str, *, type: str = TYPE) -> TrialResult:
    """Send it now, without retries. A channel can be tested before there is a queue.

    Raises:
        RequestError: the channel is unknown, or mail to the recipient is not allowed.
        StorageError: the database can't be used.
        SettingsError: a channel can't be built from its settings.
    """
    settings = settings.model_copy(update={"database_migrate": False})
    try:
        await require_queue(settings)
    except MissingQueueError:
        async with without_queue(settings) as elsewhere, open_application(elsewhere) as application:
            return await application.notifications.send_test(channel, recipient, type=type)
    async with open_application(settings) as application:
        try:
            return await application.notifications.send_test(channel, recipient, type=type, actor=operator())
        except DatabaseReadOnlyError:
            return await application.notifications.send_test(channel, recipient, type=type)
