"""The tools that act on many notifications: previewed first, then confirmed, then done.

Where the client can ask its user, the user confirms. Elsewhere the preview carries a token, and only a call
with that token acts.
"""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp_types import CallToolResult
from pydantic import Field

from certctl_mcp.mcp_server.caller import actor_of
from certctl_mcp.mcp_server.tools.arguments import flatten_filter
from certctl_mcp.mcp_server.tools.bulk_results import Outcome, account_of, besides, left_out_of, previewed
from certctl_mcp.mcp_server.tools.elicitation import Consent, can_ask, question
from certctl_mcp.mcp_server.tools.results import ToolContext, answer
from certctl_mcp.runtime.confirmations import Confirmation, ConfirmationError, moment_of_preview, read_token
from certctl_mcp.runtime.lifespan import Opening
from certctl_mcp.services.bulk import Preview
from certctl_mcp.services.bulk_rules import completed
from certctl_mcp.services.explanations import explained
from certctl_mcp.services.filters import SelectionArguments
from storage.models import AuditAction, BulkReport

if TYPE_CHECKING:
    from certctl_mcp.services.notifications import NotificationService


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call is about."""

    preview: Preview
    moment: datetime
    confirmation: Confirmation | None = None
    """One that holds for just this."""
    problem: str | None = None
    """Why the confirmation that was given does not hold."""


Token = Annotated[str | None, Field(description="From the preview, with otherwise the same arguments.")]


@flatten_filter
async def _requeue_plan(ctx: ToolContext, wanted: SelectionArguments, confirmation: str | None) -> Plan:
    return await _plan(ctx, AuditAction.REQUEUE, wanted, confirmation)


async def _requeue_consent(
    ctx: ToolContext, plan: Annotated[Plan, Resolve(_requeue_plan)]
) -> Elicit[Consent] | None:
    return await _consent(ctx, plan)


@flatten_filter
async def requeue_notifications(
    ctx: ToolContext,
    plan: Annotated[Plan, Resolve(_requeue_plan)],
    consent: Annotated[ElicitationResult[Consent], Resolve(_requeue_consent)],
    wanted: SelectionArguments,
    confirmation: Token = None,
) -> Annotated[CallToolResult, Outcome]:
    """Retry many dead, failed or undelivered notifications from scratch; every given filter must hold.

    status defaults to dead, with ids to any; sent means sent but not delivered. Without confirmation it
    changes nothing and previews, unless the user was asked.
    """
    return answer(await _outcome(ctx, plan, consent))


@flatten_filter
async def _mark_read_plan(ctx: ToolContext, wanted: SelectionArguments, confirmation: str | None) -> Plan:
    return await _plan(ctx, AuditAction.MARK_READ, wanted, confirmation)


async def _mark_read_consent(
    ctx: ToolContext, plan: Annotated[Plan, Resolve(_mark_read_plan)]
) -> Elicit[Consent] | None:
    return await _consent(ctx, plan)


@flatten_filter
async def mark_notifications_read(
    ctx: ToolContext,
    plan: Annotated[Plan, Resolve(_mark_read_plan)],
    consent: Annotated[ElicitationResult[Consent], Resolve(_mark_read_consent)],
    wanted: SelectionArguments,
    confirmation: Token = None,
) -> Annotated[CallToolResult, Outcome]:
    """Settle many notifications; those not delivered yet are NOT delivered any more.

    status defaults to dead, with ids to any; another filter is required. Without confirmation it changes
    nothing and previews, unless the user was asked.
    """
    return answer(await _outcome(ctx, plan, consent))


@flatten_filter
async def _purge_plan(ctx: ToolContext, wanted: SelectionArguments, confirmation: str | None) -> Plan:
    return await _plan(ctx, AuditAction.PURGE, wanted, confirmation)


async def _purge_consent(
    ctx: ToolContext, plan: Annotated[Plan, Resolve(_purge_plan)]
) -> Elicit[Consent] | None:
    return await _consent(ctx, plan)


@flatten_filter
async def purge_notifications(
    ctx: ToolContext,
    plan: Annotated[Plan, Resolve(_purge_plan)],
    consent: Annotated[ElicitationResult[Consent], Resolve(_purge_consent)],
    wanted: SelectionArguments,
    confirmation: Token = None,
) -> Annotated[CallToolResult, Outcome]:
    """Delete many notifications for good, with their attempts.

    status defaults to sent and read; dead only if named, pending and failed never. created_before or ids is
    required. Without confirmation it changes nothing and previews, unless the user was asked.
    """
    return answer(await _outcome(ctx, plan, consent))


UNHURRIED = frozenset(
    tool.__name__ for tool in (requeue_notifications, mark_notifications_read, purge_notifications)
)
"""Tools without a time limit: they wait for a person, and then act on any number of notifications."""


async def _consent(ctx: ToolContext, plan: Plan) -> Elicit[Consent] | None:
    if not plan.preview.count or not can_ask(ctx):
        return None
    application = await ctx.request_context.lifespan_context.application()
    return Elicit(question(plan.preview, frozenset(application.notifications.configured)), Consent)


async def _plan(ctx: ToolContext, action: AuditAction, given: SelectionArguments, token: str | None) -> Plan:
    opening = ctx.request_context.lifespan_context
    now = opening.clock()
    bulk = (await opening.application()).notifications.bulk

    async def previewed_at(moment: datetime) -> Preview:
        return await bulk.preview(action, completed(action, given.filter(moment), moment))

    problem: str | None = None
    if token is not None:
        try:
            confirmation = read_token(token, now)
            preview = await previewed_at(confirmation.moment)
            opening.confirmations.verify(confirmation, _subject(preview))
        except ConfirmationError as refused:
            problem = f"{refused}."
        else:
            if preview.count == confirmation.count:
                return Plan(preview, confirmation.moment, confirmation)
            problem = f"{preview.count} would change now, and not the {confirmation.count} of the preview."
    moment = moment_of_preview(now)
    return Plan(await previewed_at(moment), moment, problem=problem)


async def _outcome(ctx: ToolContext, plan: Plan, consent: ElicitationResult[Consent]) -> Outcome:
    opening = ctx.request_context.lifespan_context
    service = (await opening.application()).notifications
    preview, before = (
        plan.preview,
        account_of(service.bulk.interrupted(plan.preview.action, actor=actor_of(ctx))),
    )
    before += await _of_ids(service, preview)
    if not preview.count:
        await service.check_names(preview.wanted)
        problem = f"Not done: {plan.problem} " if plan.problem else ""
        return previewed(preview, f"{problem}{before}Nothing to change matches.")
    if not isinstance(consent, AcceptedElicitation):
        said = "said no" if consent.action == "decline" else "dismissed the question"
        return previewed(preview, f"{before}The user {said}. Nothing was changed.")
    if not can_ask(ctx):
        if plan.confirmation is None:
            return _to_be_confirmed(opening, plan, before, frozenset(service.configured))
    elif not consent.data.confirm:
        return previewed(preview, f"{before}The user did not confirm. Nothing was changed.")
    elif (now := await service.bulk.preview(preview.action, preview.wanted)).count != preview.count:
        problem = f"{now.count} would change now, not the {preview.count} that the user agreed to."
        return previewed(now, f"{before}{problem} Nothing was changed; call again.")

    async def progress(done: BulkReport) -> None:
        told = f"{done.changed:,} of {preview.count:,} done"
        # What is left alone counts too: progress that is told never stands still.
        come_to = done.changed + done.under_way + done.other_status + done.missing
        await ctx.report_progress(come_to, max(preview.count + preview.left_out.under_way, come_to), told)

    account = await service.bulk.run(preview, progress, actor=actor_of(ctx))
    if plan.confirmation is not None:
        opening.confirmations.spend(plan.confirmation)
    changed = account.report.changed
    participle, afterwards = _AFTERWARDS[preview.action]
    done = f"{changed} of {preview.count} {participle}; {account.still_matching} still match."
    outcome: Outcome = {"changed": changed, "next": f"{before}{done} {afterwards}"}
    if left_out := left_out_of(account.report):
        outcome["left_out"] = left_out
    return outcome


async def _of_ids(service: "NotificationService", preview: Preview) -> str:
    """What became of ids that were given and are not among those that match."""
    told = ""
    if preview.missing_ids:
        told = f"{explained(await service.not_found(preview.missing_ids[0]))} "
    if preview.filtered_out:
        told += f"{preview.filtered_out} of the ids are left out by status or another filter. "
    return told


_AFTERWARDS = {
    AuditAction.REQUEUE: (
        "requeued",
        "They are attempted now; dashboard_summary shows how it goes.",
    ),
    AuditAction.MARK_READ: ("marked read", "Nothing more happens to them."),
    AuditAction.PURGE: ("deleted", "They are gone."),
}


def _to_be_confirmed(opening: Opening, plan: Plan, before: str, configured: Set[str]) -> Outcome:
    preview = plan.preview
    problem = f"Not done: {plan.problem} " if plan.problem else ""
    outcome = previewed(
        preview,
        f"{problem}{before}Nothing was changed yet. {besides(preview, configured)}Show the user; if they "
        "agree, call again with the same arguments and this confirmation, within 10 minutes.",
    )
    outcome["confirmation"] = opening.confirmations.token(_subject(preview), preview.count, plan.moment)
    return outcome


def _subject(preview: Preview) -> str:
    return f"{preview.action.value} {preview.wanted.model_dump_json()}"
