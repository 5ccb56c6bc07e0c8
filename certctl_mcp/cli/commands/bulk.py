"""One action on several notifications: those with given ids, or those that a filter selects.

A batch that has begun is finished even if the operator interrupts, so that the report is exact.
"""

import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from certctl_mcp.cli.commands.filters import is_empty, option_errors
from certctl_mcp.cli.commands.interruptible import unless_interrupted
from certctl_mcp.cli.commands.running import Access, operator, with_application
from certctl_mcp.cli.terminal.changes import print_changes, print_preview, question
from certctl_mcp.cli.terminal.documents import Changes, Refusal
from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode
from certctl_mcp.cli.terminal.formats import Format
from certctl_mcp.cli.terminal.progress import progress_bar
from certctl_mcp.cli.terminal.questions import confirmed
from certctl_mcp.services.bulk import BulkActions, BulkActionStoppedError, Preview
from certctl_mcp.services.bulk_rules import bulk_filter
from certctl_mcp.services.filters import FilterArguments
from storage.clock import utc_now
from storage.errors import ChangeUnknownError, StorageError
from storage.models import AuditAction, BulkReport, NotificationFilter

if TYPE_CHECKING:
    from certctl_mcp.runtime.application import Application

BATCH = 500
"""The most ids in one filter."""


def run_bulk(
    action: AuditAction,
    ids: Sequence[str] | None,
    wanted: FilterArguments,
    *,
    yes: bool,
    dry_run: bool,
    json: Format,
    no_migrate: bool,
    config: Path | None,
    quiet: bool = False,
) -> ExitCode:
    """Run `action` on the notifications with `ids`, or else on those that match `wanted`.

    `ids` is None if the command takes none. Without `yes`, a filter's matches are counted and shown, and the
    operator must confirm. With `dry_run` they are only counted. With `quiet`, success prints nothing.

    Raises:
        typer.BadParameter: neither or both are given, or the filter selects what the action can't change.
        CommandFailedError: nothing was changed.
    """
    if ids is not None and bool(ids) != is_empty(wanted):
        both = ", not both" if ids else ""
        raise typer.BadParameter(
            f"name notifications by their ids or select them with a filter such as --status dead{both}"
        )
    if ids and dry_run:
        raise typer.BadParameter("is for a filter, not for ids", param_hint="--dry-run")

    async def report(application: "Application", changes: Changes, channels: Collection[str]) -> ExitCode:
        code = print_changes(changes, action, json=json, quiet=quiet)
        if action is AuditAction.REQUEUE and changes.changed:
            await _print_next(application, channels)
        return code

    async def act_on_ids(application: "Application") -> ExitCode:
        return await report(application, *await _change_by_ids(application, action, ids or ()))

    if ids:
        return with_application(config, act_on_ids, Access.CHANGE, no_migrate=no_migrate)
    now = utc_now()
    with option_errors():
        # Refuse before the database is opened.
        selected = bulk_filter(action, wanted.filter(now), now)

    async def act(application: "Application") -> ExitCode:
        bulk = application.notifications.bulk
        preview = await bulk.preview(action, selected)
        if dry_run:
            print_preview(preview, json=json)
            return ExitCode.DONE
        if not preview.count:
            await application.notifications.check_names(selected)
        elif not yes:
            await _ask(bulk, preview, json=json)
        return await report(application, await _change_selected(bulk, preview), preview.by_channel)

    access = Access.READ if dry_run else Access.CHANGE
    return with_application(config, act, access, no_migrate=no_migrate)


async def _print_next(application: "Application", channels: Collection[str]) -> None:
    """Tell a person what happens to notifications that were requeued over these channels."""
    from certctl_mcp.services.next_steps import COMMANDS

    if sys.stderr.isatty():
        service = application.notifications.channels
        typer.echo(await service.after_bulk_requeue(channels, remedies=COMMANDS), err=True)


async def _ask(bulk: BulkActions, preview: Preview, *, json: Format) -> None:
    """Returns once the operator has agreed to exactly the changes that would be made now."""
    prompt = question(preview)
    if not json:
        print_preview(preview, json=json)
    if not sys.stdin.isatty():
        raise CommandFailedError(
            ExitCode.USAGE, f"{prompt} There is no terminal for the question: add --yes. Nothing was changed."
        )
    agreed = await unless_interrupted(lambda: confirmed(prompt))
    if agreed is None:
        raise CommandFailedError(ExitCode.INTERRUPTED, "interrupted; nothing was changed")
    if not agreed:
        raise CommandFailedError(ExitCode.NOT_DONE, "declined; nothing was changed")
    now = await bulk.preview(preview.action, preview.wanted)
    if now.count != preview.count:
        raise CommandFailedError(
            ExitCode.NOT_DONE,
            f"{now.count} would change now, not the {preview.count} you agreed to; nothing was changed",
        )


async def _change_selected(bulk: BulkActions, preview: Preview) -> Changes:
    with progress_bar(preview.action.value.capitalize(), preview.count) as advance:
        changes, _ = await _run(bulk, preview, advance)
        return changes


async def _change_by_ids(
    application: "Application", action: AuditAction, ids: Sequence[str]
) -> tuple[Changes, Collection[str]]:
    """Each id once, in batches. A refusal names its id. Also returns the channels."""
    from certctl_mcp.services.refusals import refusals

    bulk = application.notifications.bulk
    distinct = await application.notifications.ids.complete_all(ids)
    total = Changes()
    channels: set[str] = set()
    with progress_bar(action.value.capitalize(), len(distinct)) as advance:
        for start in range(0, len(distinct), BATCH):
            batch = distinct[start : start + BATCH]
            refused = await refusals(application.repository, application.notifications.ids, action, batch)
            preview = await bulk.preview(action, NotificationFilter(ids=batch))
            channels.update(preview.by_channel)
            changes, finished = await _run(bulk, preview, advance)
            reasons = tuple(Refusal(id=each.notification_id, reason=str(each)) for each in refused)
            total = total.plus(changes, reasons)
            if not finished:
                rest = len(distinct) - start - len(batch)
                return total.model_copy(update={"untouched": total.untouched + rest}), channels
    return total, channels


async def _run(bulk: BulkActions, preview: Preview, advance: Callable[[int], None]) -> tuple[Changes, bool]:
    """What was done, and whether it was completed."""
    actor, shown = operator(), 0

    async def progress(done: BulkReport) -> None:
        nonlocal shown
        advance(done.changed - shown)
        shown = done.changed

    try:
        result = await unless_interrupted(lambda: bulk.run(preview, progress, actor=actor))
    except BulkActionStoppedError as stopped:
        failure = str(stopped.__cause__ or stopped)
        return _changes(preview, stopped.report, stopped.in_doubt, failure), False
    except ChangeUnknownError as unknown:
        return _changes(preview, BulkReport(), min(preview.count, BATCH), str(unknown)), False
    except StorageError as error:
        return _changes(preview, BulkReport(), failure=str(error)), False
    if result is not None:
        return _changes(preview, result.report), True
    interrupted = bulk.interrupted(preview.action, actor=actor)
    return _changes(preview, interrupted.report if interrupted else BulkReport()), False


def _changes(preview: Preview, done: BulkReport, in_doubt: int = 0, failure: str | None = None) -> Changes:
    skipped = done.under_way + done.other_status + done.missing
    # Notifications in flight were never counted among those that would change.
    reached = done.changed + done.other_status + done.missing + in_doubt
    return Changes(
        changed=done.changed,
        skipped=skipped,
        untouched=max(0, preview.count - reached),
        unknown=in_doubt,
        failure=failure,
    )
