"""`test`: one attempt of a test message on a channel."""

from typing import Annotated

import typer

from certctl_mcp.cli.commands.completion import complete_channel
from certctl_mcp.cli.commands.options import ConfigFile
from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode
from certctl_mcp.cli.terminal.formats import Format


def try_channel(
    channel: Annotated[
        str, typer.Argument(metavar="CHANNEL", help="The channel.", autocompletion=complete_channel)
    ],
    recipient: Annotated[str, typer.Option(metavar="ADDRESS", help="Address within the channel.")] = "",
    json: Format = Format.TEXT,
    config: ConfigFile = None,
) -> ExitCode:
    """Send a test message over a channel now, without retries. It is audited, but not stored.

    Ends with 1 if it was not delivered.
    """
    import anyio

    from certctl_mcp.cli.commands.exit_on_error import command_failures
    from certctl_mcp.cli.commands.running import (
        Access,
        NoQueueError,
        operator,
        settings_of,
        with_application,
        without_queue,
    )
    from certctl_mcp.cli.terminal.output import print_json
    from certctl_mcp.delivery.channel_probe import TrialResult
    from certctl_mcp.runtime.application import Application, open_application
    from storage.errors import DatabaseReadOnlyError

    async def audited(application: Application) -> TrialResult:
        try:
            return await application.notifications.send_test(channel, recipient, actor=operator())
        except DatabaseReadOnlyError:
            return await application.notifications.send_test(channel, recipient)

    async def unaudited() -> TrialResult:
        async with without_queue(settings_of(config)) as settings, open_application(settings) as application:
            return await application.notifications.send_test(channel, recipient)

    try:
        result = with_application(config, audited, Access.CHANGE, no_migrate=True)
    except NoQueueError:
        # A channel can be tried before the first notification.
        with command_failures():
            result = anyio.run(unaudited)
    if json:
        print_json(result, json)
    elif result.failure is None:
        print(f"delivered in {result.duration.total_seconds():.2f} s")
    if result.failure is not None:
        raise CommandFailedError(ExitCode.NOT_DONE, f"not delivered: {result.failure}")
    return ExitCode.DONE
