"""`doctor`: checks the setup, from the settings to each channel's connection."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from certctl_mcp.cli.commands.completion import complete_channel
from certctl_mcp.cli.commands.options import ConfigFile
from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode
from certctl_mcp.cli.terminal.formats import Format

if TYPE_CHECKING:
    from certctl_mcp.checks.deliveries import OpenApplication
    from certctl_mcp.checks.results import CheckReport, CheckResult
    from certctl_mcp.config.settings import Settings
    from certctl_mcp.runtime.application import Application


def doctor(
    send: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHANNEL",
            help="Also send a test message over this channel; may be repeated.",
            autocompletion=complete_channel,
        ),
    ] = None,
    recipient: Annotated[
        str, typer.Option(metavar="ADDRESS", help="With --send: the address within the channel.")
    ] = "",
    json: Format = Format.TEXT,
    config: ConfigFile = None,
) -> int:
    """Check the setup: settings, files, database, deliveries, and each channel's connection.

    Each check is ok, warn or fail, with a remedy. The checks change nothing and take at most 10 seconds.
    Nothing is sent without --send. Exits with 1 if a check failed.
    """
    import anyio

    from certctl_mcp.checks.results import CheckReport
    from certctl_mcp.checks.settings import settings_failures
    from certctl_mcp.cli.terminal.checks import check_lines
    from certctl_mcp.cli.terminal.output import print_all, print_json
    from certctl_mcp.config.errors import SettingsError
    from certctl_mcp.config.settings import load_settings
    from certctl_mcp.runtime.logs import log_to_stderr
    from certctl_mcp.services.errors import UnknownChannelError

    if recipient and not send:
        raise CommandFailedError(ExitCode.USAGE, "--recipient goes with --send")
    log_to_stderr("warning")
    try:
        settings = load_settings(config, os.environ)
    except SettingsError as error:
        report = CheckReport.of(settings_failures(error, os.environ))
    else:
        for channel in send or ():
            if channel not in settings.named_channels:
                raise CommandFailedError(
                    ExitCode.USAGE, str(UnknownChannelError(channel, tuple(settings.named_channels)))
                )
        report = anyio.run(_checked, settings, tuple(send or ()), recipient)
    if json is Format.NDJSON:
        for check in report.checks:
            print_json(check, json)
    elif json:
        print_json(report, json)
    else:
        print_all(*check_lines(report))
    return ExitCode.NOT_DONE if report.failed else ExitCode.DONE


async def _checked(settings: "Settings", channels: tuple[str, ...], recipient: str) -> "CheckReport":
    from certctl_mcp.checks.checklist import check_setup
    from certctl_mcp.checks.results import CheckReport

    report = await check_setup(settings, _opener(settings))
    sent = [await _sent(settings, channel, recipient) for channel in channels]
    return CheckReport.of((*report.checks, *sent)) if sent else report


def _opener(settings: "Settings") -> "OpenApplication":
    """Opens the queue in the same way as commands that read."""
    from certctl_mcp.runtime.application import open_application
    from certctl_mcp.runtime.existing_queue import require_queue
    from storage.errors import MissingQueueError

    @asynccontextmanager
    async def opened() -> "AsyncIterator[Application | None]":
        try:
            await require_queue(settings)
        except MissingQueueError:
            yield None
            return
        async with open_application(settings.model_copy(update={"database_migrate": False})) as application:
            yield application

    return opened


async def _sent(settings: "Settings", channel: str, recipient: str) -> "CheckResult":
    from certctl_mcp.checks.results import fail, ok
    from certctl_mcp.cli.commands.trial import send_trial
    from certctl_mcp.config.errors import SettingsError
    from certctl_mcp.services.errors import RequestError, message_with_suggestion
    from storage.errors import StorageError

    name = f"test of {channel}"
    try:
        result = await send_trial(settings, channel, recipient)
    except (RequestError, StorageError, SettingsError) as error:
        return fail(name, f"not sent: {message_with_suggestion(error)}")
    if result.failure is not None:
        return fail(name, f"not delivered: {result.failure}")
    return ok(name, f"delivered in {result.duration.total_seconds():.2f} s")
