"""`report`: the results of deliveries over a period."""

from typing import Annotated

import typer

from certctl_mcp.cli.commands.options import ConfigFile
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format


def report(
    since: Annotated[
        str, typer.Option(metavar="WHEN", help="The beginning: 24h, 7d, yesterday, or a date (UTC).")
    ] = "24h",
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="The end, if not now.")] = None,
    json: Format = Format.TEXT,
    config: ConfigFile = None,
) -> int:
    """Report the results of deliveries over a period, in total and by channel."""
    from certctl_mcp.cli.commands.filters import option_errors
    from certctl_mcp.cli.commands.running import with_application
    from certctl_mcp.cli.terminal.deliveries import DeliveryReport, delivery_table
    from certctl_mcp.cli.terminal.output import print_all, print_json
    from certctl_mcp.runtime.application import Application
    from certctl_mcp.services.periods import period_between
    from storage.clock import utc_now

    with option_errors():
        period = period_between(since, until, utc_now())

    async def reported(application: Application) -> int:
        deliveries = await application.repository.delivery_figures(period.since, period.until)
        document = DeliveryReport(since=period.since, until=period.until, **dict(deliveries))
        note = await application.notifications.channels.sent_by_certctl(period.since, period.until)
        if json:
            print_json(document, json)
        else:
            print_all(delivery_table(document))
            if note is not None:
                typer.echo(note)
        return ExitCode.DONE

    return with_application(config, reported)
