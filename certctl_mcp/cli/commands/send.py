"""`send`: add an alert to the queue."""

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from certctl_mcp.cli.commands.completion import complete_channel, complete_type
from certctl_mcp.cli.commands.options import ConfigFile, NoMigrate
from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode
from certctl_mcp.cli.terminal.formats import Format

if TYPE_CHECKING:
    from certctl_mcp.runtime.application import Application
    from storage.models import NewNotification, Notification


def send(
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="The text, or - to read it from stdin.")],
    channel: Annotated[
        str,
        typer.Option(metavar="NAME", help="The channel to send it over.", autocompletion=complete_channel),
    ],
    type_: Annotated[
        str,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="The type of alert, such as ExpirationWarning.",
            autocompletion=complete_type,
        ),
    ],
    recipient: Annotated[str, typer.Option(metavar="ADDRESS", help="The address within the channel.")] = "",
    certificate: Annotated[str | None, typer.Option(metavar="ID", help="The certificate.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Sending again with the same key has no effect.")
    ] = None,
    now: Annotated[
        bool,
        typer.Option("--now", help="Attempt everything that is due in this process, and report the outcome."),
    ] = False,
    json: Format = Format.TEXT,
    no_migrate: NoMigrate = False,
    config: ConfigFile = None,
) -> ExitCode:
    """Add an alert to the queue.

    Once its id is printed, it survives a crash. A running worker or server delivers it. With --now, this
    command attempts it, and exits with 1 if that fails; the alert then stays in the queue and is retried.
    """
    from certctl_mcp.cli.commands.filters import option_errors
    from certctl_mcp.cli.commands.running import Access, with_application
    from storage.models import NewNotification

    with option_errors():
        new = NewNotification(
            type=type_,
            channel=channel,
            recipient=recipient,
            message=sys.stdin.read() if message == "-" else message,
            certificate_id=certificate,
            idempotency_key=idempotency_key,
        )
    sent = partial(_sent, new, now=now)
    notification, comes_next = with_application(config, sent, Access.CREATE, no_migrate=no_migrate)
    _print(notification, json)
    if now and not notification.delivered:
        why = notification.last_error or notification.error or comes_next
        raise CommandFailedError(ExitCode.NOT_DONE, f"{_undelivered(notification)}: {why}")
    if not now and sys.stderr.isatty():
        typer.echo(comes_next, err=True)
    return ExitCode.DONE


def _undelivered(notification: "Notification") -> str:
    from storage.models import NotificationStatus

    match notification.status:
        case NotificationStatus.PENDING | NotificationStatus.FAILED:
            return "not delivered yet"
        case NotificationStatus.DEAD:
            return "not delivered, and a dead letter"
        case _:
            return "not delivered"


async def _sent(
    new: "NewNotification", application: "Application", *, now: bool
) -> "tuple[Notification, str]":
    """The alert as it is stored after that, and what comes next."""
    from certctl_mcp.cli.commands.running import operator
    from certctl_mcp.services.errors import DeliveriesOffError
    from certctl_mcp.services.next_steps import COMMANDS, NextSteps, after_acceptance
    from storage.clock import utc_now

    if now and application.limitation is not None:
        raise DeliveriesOffError(application.limitation)
    service, settings = application.notifications, application.settings
    # Read first, so that nothing can fail after the alert has been accepted.
    deliverer = await service.channels.deliverer(new.channel)
    closed = await service.channels.closure(new.channel)
    accepted = await service.send(new, actor=operator())
    if not now:
        return accepted.notification, after_acceptance(deliverer, closed)
    await service.retry_failed_notifications()
    notification, _ = await service.get(accepted.notification.id)
    closed = await service.channels.closure(new.channel)
    next_steps = NextSteps(
        deliverer, settings.max_attempts, COMMANDS, utc_now(), settings.rescue_grace, closed
    )
    return notification, next_steps.of(notification)


def _print(notification: "Notification", json: Format) -> None:
    from rich.text import Text

    from certctl_mcp.cli.terminal.notifications import status_of
    from certctl_mcp.cli.terminal.output import identifier, print_all, print_json

    if json:
        print_json(notification, json)
    else:
        print_all(Text("  ").join((identifier(notification.id), status_of(notification))))
