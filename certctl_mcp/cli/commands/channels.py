"""`channels`: the configured channels, and how their attempts went."""

import os

import typer

from certctl_mcp.cli.commands.options import ConfigFile
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format


def channels(json: Format = Format.TEXT, config: ConfigFile = None) -> int:
    """List the channels and how their attempts went in the last 24 hours.

    Without a queue, it shows what is configured, and exits with 3.
    """
    from certctl_mcp.cli.commands.running import NoQueueError, with_application
    from certctl_mcp.cli.terminal.documents import Channels
    from certctl_mcp.cli.terminal.output import print_all, print_json
    from certctl_mcp.cli.terminal.overview import channel_table
    from certctl_mcp.config.settings import load_settings
    from certctl_mcp.runtime.application import Application
    from certctl_mcp.services.channels import ChannelHealth
    from certctl_mcp.text.untrusted import escape_hidden
    from storage.clock import utc_now
    from storage.models import UnservedChannel

    async def found(
        application: Application,
    ) -> tuple[tuple[ChannelHealth, ...], tuple[UnservedChannel, ...], str | None]:
        channels = application.notifications.channels
        return await channels.health(), await channels.channels_without_deliverer(), await channels.delivery()

    unserved: tuple[UnservedChannel, ...] = ()
    delivery: str | None = None
    missing: NoQueueError | None = None

    try:
        configured, unserved, delivery = with_application(config, found)
    except NoQueueError as without:
        missing = without
        # What is configured can be shown before the first notification.
        configured = tuple(
            ChannelHealth(name=channel.name, destination=channel.destination.description, record=None)
            for channel in load_settings(config, os.environ).channels
        )
    if json:
        print_json(Channels(data=configured, nobody_delivers=unserved, delivery=delivery), json)
    elif configured:
        print_all(channel_table(configured, utc_now()))
    else:
        typer.echo(
            "No channel is configured. Set a variable such as CERTCTL_SLACK_WEBHOOK_URL; see --help.",
            err=True,
        )
    if not json:
        if delivery is not None:
            typer.echo(delivery, err=True)
        for one in unserved:
            channel = escape_hidden(one.channel)
            typer.echo(f"no running process delivers over {channel}: {one.waiting} waiting", err=True)
    if missing is not None:
        raise missing
    return ExitCode.DONE
