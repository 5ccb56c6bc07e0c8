"""`test`: one attempt of a test message on a channel."""

from functools import partial
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
    recipient: Annotated[str, typer.Option(metavar="ADDRESS", help="The address within the channel.")] = "",
    type: Annotated[
        str | None,
        typer.Option(help="Print what a notification of this type would look like, instead of sending it."),
    ] = None,
    send: Annotated[bool, typer.Option("--send", help="With --type: send it as well.")] = False,
    json: Format = Format.TEXT,
    config: ConfigFile = None,
) -> ExitCode:
    """Send a test message over a channel now, without retries. The audit log records it, but it is not
    stored.

    Exits with 1 if it was not delivered.
    """
    import anyio

    from certctl_mcp.cli.commands.exit_on_error import command_failures
    from certctl_mcp.cli.commands.running import settings_of
    from certctl_mcp.cli.commands.trial import send_trial
    from certctl_mcp.cli.terminal.output import print_json
    from certctl_mcp.delivery.trial import TYPE, trial_notification
    from certctl_mcp.notifiers.base import DeliveryFailedError
    from certctl_mcp.notifiers.registry import NotifierRegistry
    from certctl_mcp.services.errors import UnknownChannelError
    from storage.clock import utc_now

    async def previewed() -> str:
        settings = settings_of(config)
        async with NotifierRegistry.open(settings.channels, 1, public_url=settings.public_url) as notifiers:
            if channel not in notifiers.descriptions:
                raise UnknownChannelError(channel, tuple(notifiers.descriptions))
            try:
                preview = await notifiers.preview(
                    trial_notification(channel, recipient, utc_now(), type=type or TYPE)
                )
            except DeliveryFailedError as failure:
                raise CommandFailedError(ExitCode.NOT_DONE, f"can't be sent: {failure}") from None
            return preview or f"the channel {channel} can't show what it would send"

    if type is not None:
        with command_failures():
            preview = anyio.run(previewed)
        print(preview)
        if not send:
            return ExitCode.DONE
    with command_failures():
        result = anyio.run(partial(send_trial, settings_of(config), channel, recipient, type=type or TYPE))
    if json:
        print_json(result, json)
    elif result.failure is None:
        print(f"delivered in {result.duration.total_seconds():.2f} s")
    if result.failure is not None:
        raise CommandFailedError(ExitCode.NOT_DONE, f"not delivered: {result.failure}")
    return ExitCode.DONE
