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
    """Send a test message over a channel now, without retries. It is not stored, and needs no queue.

    Ends with 1 if it was not delivered.
    """
    import anyio

    from certctl_mcp.cli.commands.filters import option_errors
    from certctl_mcp.cli.commands.running import settings_of, without_queue
    from certctl_mcp.cli.terminal.output import print_json
    from certctl_mcp.delivery.channel_probe import TrialResult
    from certctl_mcp.runtime.application import open_application

    async def tried() -> TrialResult:
        async with without_queue(settings_of(config)) as settings, open_application(settings) as application:
            return await application.notifications.send_test(channel, recipient)

    from certctl_mcp.cli.commands.exit_on_error import command_failures

    with command_failures(), option_errors():
        result = anyio.run(tried)
    if json:
        print_json(result, json)
    elif result.failure is None:
        print(f"delivered in {result.duration.total_seconds():.2f} s")
    if result.failure is not None:
        raise CommandFailedError(ExitCode.NOT_DONE, f"not delivered: {result.failure}")
    return ExitCode.DONE
