"""`requeue`: give dead letters a new life, one, several, or all that a filter chooses."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from certctl_mcp.cli.commands.options import (
    AsJson,
    Certificate,
    Channel,
    ConfigFile,
    Ids,
    Recipient,
    Since,
    Statuses,
    TextPart,
    Type,
    Until,
    Yes,
)
from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode

if TYPE_CHECKING:
    from certctl_mcp.cli.terminal.documents import Changes
    from storage.models import NotificationFilter

_EITHER = "name notifications by their ids, or choose them by a filter such as --status dead, not both"


def requeue(
    ids: Ids = None,
    status: Statuses = None,
    channel: Channel = None,
    type_: Type = None,
    certificate: Certificate = None,
    recipient: Recipient = None,
    text: TextPart = None,
    since: Since = None,
    until: Until = None,
    yes: Yes = False,
    json: AsJson = False,
    config: ConfigFile = None,
) -> ExitCode:
    """Give dead letters all their retries anew.

    A filter without --status chooses dead letters. They are counted, and you are asked before anything is
    changed. A running worker or server then attempts them at once.
    """
    from certctl_mcp.cli.commands.filters import notification_filter
    from certctl_mcp.cli.terminal.changes import tell_changes
    from storage.models import AuditAction, NotificationFilter, NotificationStatus
    from storage.operations.actions import ELIGIBLE

    wanted = notification_filter(
        statuses=status or (),
        channel=channel,
        type_=type_,
        certificate=certificate,
        recipient=recipient,
        text=text,
        since=since,
        until=until,
    )
    filtered = wanted != NotificationFilter()
    if bool(ids) == filtered:
        raise typer.BadParameter(_EITHER)
    if ids:
        chosen: Sequence[str] = list(dict.fromkeys(ids))
    else:
        rule = ELIGIBLE[AuditAction.REQUEUE]
        if not set(wanted.statuses) <= set(rule.possible_statuses):
            raise typer.BadParameter(rule.refusal, param_hint="--status")
        statuses = wanted.statuses or (NotificationStatus.DEAD,)
        chosen = _chosen(
            config, wanted.model_copy(update={"statuses": statuses, "eligible_for": AuditAction.REQUEUE})
        )
        if chosen and not yes:
            _ask(len(chosen))
    return tell_changes(_requeued(config, chosen), "requeued", json=json)


def _chosen(config: Path | None, wanted: "NotificationFilter") -> list[str]:
    """What the operator is asked about is what is requeued, whatever dies meanwhile."""
    from certctl_mcp.cli.commands.running import with_application
    from certctl_mcp.runtime.application import Application
    from storage.queries.listing import LARGEST_PAGE

    async def found(application: Application) -> list[str]:
        ids: list[str] = []
        cursor: str | None = None
        while True:
            page = await application.notifications.list(wanted, limit=LARGEST_PAGE, cursor=cursor)
            ids += (notification.id for notification in page.items)
            cursor = page.next_cursor
            if cursor is None:
                return ids

    return with_application(config, found)


def _ask(count: int) -> None:
    question = f"Requeue {count} notification{'s' if count > 1 else ''}?"
    if not sys.stdin.isatty():
        raise CommandFailedError(
            ExitCode.USAGE, f"{question} There is no terminal to ask on: add --yes. Nothing was changed."
        )
    if not typer.confirm(question, err=True):
        raise CommandFailedError(ExitCode.NOT_DONE, "declined; nothing was changed")


def _requeued(config: Path | None, ids: Sequence[str]) -> "Changes":
    from certctl_mcp.cli.commands.batches import change_each
    from certctl_mcp.cli.commands.running import operator, with_application
    from certctl_mcp.cli.terminal.progress import progress_bar
    from certctl_mcp.runtime.application import Application

    async def requeued(application: Application) -> "Changes":
        with progress_bar("Requeueing", len(ids)) as advance:
            requeue = partial(application.notifications.requeue_notification, actor=operator())
            return await change_each(ids, requeue, advance)

    return with_application(config, requeued)
