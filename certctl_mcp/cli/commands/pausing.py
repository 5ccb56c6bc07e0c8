"""`pause` and `resume`: stop deliveries over a channel for a while, or continue them."""

from datetime import datetime
from typing import Annotated

import typer

from certctl_mcp.cli.commands.completion import complete_channel
from certctl_mcp.cli.commands.options import ConfigFile, NoMigrate
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format

ChannelName = Annotated[
    str, typer.Argument(metavar="CHANNEL", help="Its name.", autocompletion=complete_channel)
]


def pause(
    channel: ChannelName,
    until: Annotated[str, typer.Option(metavar="END", help="How long, such as 2h, or the end (ISO 8601).")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="The reason, which is shown during the pause.")],
    json: Format = Format.TEXT,
    no_migrate: NoMigrate = False,
    config: ConfigFile = None,
) -> ExitCode:
    """Pause deliveries over a channel.

    Until the pause ends, no process attempts anything over the channel. Waiting uses up no attempts, and the
    waiting notifications are sent afterwards.
    """
    from certctl_mcp.cli.commands.running import Access, operator, with_application
    from certctl_mcp.cli.terminal.documents import ChannelPaused
    from certctl_mcp.cli.terminal.output import print_json
    from certctl_mcp.runtime.application import Application
    from certctl_mcp.services.next_steps import moment

    async def paused(application: Application) -> datetime:
        return await application.pauses.pause(channel, until, reason, actor=operator())

    end = with_application(config, paused, Access.CHANGE, no_migrate=no_migrate)
    if json:
        print_json(ChannelPaused(paused_until=end), json)
    else:
        typer.echo(f"Paused until {moment(end)}.")
    return ExitCode.DONE


def resume(
    channel: ChannelName,
    json: Format = Format.TEXT,
    no_migrate: NoMigrate = False,
    config: ConfigFile = None,
) -> ExitCode:
    """End the pause of a channel."""
    from certctl_mcp.cli.commands.running import Access, operator, with_application
    from certctl_mcp.cli.terminal.documents import ChannelResumed
    from certctl_mcp.cli.terminal.output import print_json
    from certctl_mcp.runtime.application import Application

    async def resumed(application: Application) -> bool:
        return await application.pauses.resume(channel, actor=operator())

    was_paused = with_application(config, resumed, Access.CHANGE, no_migrate=no_migrate)
    if json:
        print_json(ChannelResumed(was_paused=was_paused), json)
    else:
        typer.echo("Resumed." if was_paused else "It was not paused.")
    return ExitCode.DONE
