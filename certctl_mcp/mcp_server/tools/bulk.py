"""The tools that change many notifications at once: previewed first, then confirmed, then done.

If the client can ask its user, the user is asked. Otherwise the preview contains a confirmation, and only a
call with that confirmation changes anything.
"""

from typing import TYPE_CHECKING, Annotated

from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp_types import CallToolResult
from pydantic import Field

from certctl_mcp.mcp_server.caller import actor_of
from certctl_mcp.mcp_server.tools.arguments import flatten_filter
from certctl_mcp.mcp_server.tools.bulk_results import (
    Outcome,
    interruption_notice,
    left_out_of,
    preview_result,
    remarks,
)
from certctl_mcp.mcp_server.tools.elicitation import Consent, Reply, ask, question, reply_in
from certctl_mcp.mcp_server.tools.results import ToolContext, answer
from certctl_mcp.runtime.bulk_plan import Plan, bulk_plan, confirmation_of
from certctl_mcp.runtime.confirmations import Purpose
from certctl_mcp.runtime.lifespan import Opening
from certctl_mcp.services.bulk import Preview
from certctl_mcp.services.explanations import explained
from certctl_mcp.services.filters import SelectionArguments
from storage.models import STANDSTILL, AuditAction, BulkReport, Closure

if TYPE_CHECKING:
    from certctl_mcp.services.notifications import NotificationService


Token = Annotated[str | None, Field(description="From the preview; other arguments unchanged.")]


@flatten_filter
async def _requeue_plan(ctx: ToolContext, wanted: SelectionArguments, confirmation: str | None) -> Plan:
    return await _plan(ctx, AuditAction.REQUEUE, wanted, confirmation)


async def _requeue_consent(
    ctx: ToolContext, plan: Annotated[Plan, Resolve(_requeue_plan)]
) -> Elicit[Consent] | Reply:
    return await _consent(ctx, plan)


@flatten_filter
async def requeue_notifications(
    ctx: ToolContext,
    plan: Annotated[Plan, Resolve(_requeue_plan)],
    consent: Annotated[ElicitationResult[Consent], Resolve(_requeue_consent)],
    wanted: SelectionArguments,
    confirmation: Token = None,
) -> Annotated[CallToolResult, Outcome]:
    """Requeue many dead, failed or undelivered notifications; every given filter must hold.

    status defaults to dead, with ids to any; sent means undelivered. Without confirmation it only previews,
    unless the user was asked.
    """
    return answer(await _outcome(ctx, plan, consent))


@flatten_filter
async def _mark_read_plan(ctx: ToolContext, wanted: SelectionArguments, confirmation: str | None) -> Plan:
    return await _plan(ctx, AuditAction.MARK_READ, wanted, confirmation)


async def _mark_read_consent(
    ctx: ToolContext, plan: Annotated[Plan, Resolve(_mark_read_plan)]
) -> Elicit[Consent] | Reply:
    return await _consent(ctx, plan)


@flatten_filter
async def mark_notifications_read(
    ctx: ToolContext,
    plan: Annotated[Plan, Resolve(_mark_read_plan)],
    consent: Annotated[ElicitationResult[Consent], Resolve(_mark_read_consent)],
    wanted: SelectionArguments,
    confirmation: Token = None,
) -> Annotated[CallToolResult, Outcome]:
    """Settle many notifications; those not delivered yet will NOT be delivered.

    status defaults to dead, with ids to any; another filter is required. Without confirmation it only
    previews, unless the user was asked.
    """
    return answer(await _outcome(ctx, plan, consent))


@flatten_filter
async def _purge_plan(ctx: ToolContext, wanted: SelectionArguments, confirmation: str | None) -> Plan:
    return await _plan(ctx, AuditAction.PURGE, wanted, confirmation)


async def _purge_consent(
    ctx: ToolContext, plan: Annotated[Plan, Resolve(_purge_plan)]
) -> Elicit[Consent] | Reply:
    return await _consent(ctx, plan)


@flatten_filter
async def purge_notifications(
    ctx: ToolContext,
    plan: Annotated[Plan, Resolve(_purge_plan)],
    consent: Annotated[ElicitationResult[Consent], Resolve(_purge_consent)],
    wanted: SelectionArguments,
    confirmation: Token = None,
) -> Annotated[CallToolResult, Outcome]:
    """Permanently delete many notifications, with their attempts.

    status defaults to sent and read; dead only if named, pending and failed never. created_before or ids is
    required. Without confirmation it
    only previews, unless the user was asked.
    """
    return answer(await _outcome(ctx, plan, consent))


WITHOUT_TIMEOUT = frozenset(
    tool.__name__ for tool in (requeue_notifications, mark_notifications_read, purge_notifications)
)
"""Tools without a timeout: they wait for a person, and then act on any number of notifications."""


async def _consent(ctx: ToolContext, plan: Plan) -> Elicit[Consent] | Reply:
    application = await ctx.request_context.lifespan_context.application()
    if not plan.preview.count or not application.settings.elicitation:
        return Reply.NOT_ASKED
    if plan.replaces_question:
        return Reply.UNREACHABLE
    channels = application.notifications.channels
    # Not those that were told to wait: that may end before the user answers, and change the question.
    closed = await channels.closed(Closure.PAUSED, Closure.HELD)
    return await ask(ctx, question(plan.preview, await channels.deliverable(), closed))


async def _plan(ctx: ToolContext, action: AuditAction, given: SelectionArguments, token: str | None) -> Plan:
    return await bulk_plan(ctx.request_context.lifespan_context, action, given, token, caller=actor_of(ctx))


async def _outcome(ctx: ToolContext, plan: Plan, consent: ElicitationResult[Consent]) -> Outcome:
    opening = ctx.request_context.lifespan_context
    service = (await opening.application()).notifications
    preview, reply = plan.preview, reply_in(consent)
    before = interruption_notice(service.bulk.interrupted(preview.action, actor=actor_of(ctx)))
    before += await _unmatched_ids(service, preview) + preview.kept
    if not preview.count:
        await service.check_names(preview.wanted)
        problem = f"Not done: {plan.problem} " if plan.problem else ""
        return preview_result(preview, f"{problem}{before}Nothing to change matches.")
    match reply:
        case Reply.DISAGREED:
            return preview_result(preview, f"{before}The user did not confirm. Nothing was changed.")
        case Reply.DECLINED:
            return preview_result(preview, f"{before}{_DECLINED}")
        case Reply.NOT_ASKED | Reply.UNREACHABLE:
            if plan.confirmation is None:
                remarked = remarks(
                    preview,
                    await service.channels.deliverable(),
                    await service.channels.closed(*STANDSTILL),
                )
                return _to_be_confirmed(opening, plan, before, remarked, reply, caller=actor_of(ctx))
        case Reply.AGREED:
            now = await service.bulk.preview(preview.action, preview.wanted)
            if now.count != preview.count:
                problem = f"{now.count} would change now, not the {preview.count} that the user agreed to."
                return preview_result(now, f"{before}{problem} Nothing was changed; call again.")

    async def progress(done: BulkReport) -> None:
        # Notifications that were not changed count too, so that every report shows progress.
        processed = done.changed + done.under_way + done.other_status + done.missing
        total = max(preview.count + preview.left_out.under_way, processed)
        await ctx.report_progress(processed, total, f"{done.changed:,} of {preview.count:,} done")

    account = await service.bulk.run(preview, progress, actor=actor_of(ctx))
    if plan.confirmation is not None:
        opening.confirmations.spend(plan.confirmation)
    changed = account.report.changed
    participle, afterwards = _AFTERWARDS[preview.action]
    if preview.action is AuditAction.REQUEUE:
        afterwards = await service.channels.after_bulk_requeue(preview.by_channel, serving=True)
    done = f"{changed} of {preview.count} {participle}; {account.still_matching} still match."
    outcome: Outcome = {"changed": changed, "next": f"{before}{done} {afterwards}"}
    if left_out := left_out_of(account.report):
        outcome["left_out"] = left_out
    return outcome


async def _unmatched_ids(service: "NotificationService", preview: Preview) -> str:
    """Why some of the given ids are not among the matching notifications."""
    notice = ""
    if preview.missing_ids:
        notice = f"{explained(await service.ids.not_found(preview.missing_ids[0]))} "
    if preview.filtered_out:
        notice += f"{preview.filtered_out} of the ids are left out by status or another filter. "
    return notice


_DECLINED = (
    "The client declined the question on behalf of its user; whether a person saw it is unknown. Nothing was "
    "changed. If the user was asked, respect the answer. If not, the operator can turn questions off with "
    "CERTCTL_MCP_ELICITATION=false; the call then returns a preview with a confirmation."
)

_AFTERWARDS = {
    AuditAction.REQUEUE: ("requeued", ""),
    AuditAction.MARK_READ: ("marked read", "Nothing more happens to them."),
    AuditAction.PURGE: ("deleted", "They are gone."),
}


def _to_be_confirmed(
    opening: Opening, plan: Plan, before: str, remarked: str, reply: Reply, *, caller: str
) -> Outcome:
    preview = plan.preview
    problem = f"Not done: {plan.problem} " if plan.problem else ""
    unreachable = reply is Reply.UNREACHABLE
    asked = "The client could not put the question to its user. " if unreachable else ""
    outcome = preview_result(
        preview,
        f"{problem}{before}{asked}Nothing was changed yet. {remarked}Show the user; if "
        "they agree, call again with the same arguments and this confirmation, within 10 minutes.",
    )
    outcome["confirmation"] = confirmation_of(
        opening,
        plan,
        caller=caller,
        purpose=Purpose.REPLACES_QUESTION if unreachable else Purpose.PREVIEW,
    )
    return outcome
