"""What can be done to many notifications at once: shown first, then confirmed, then done.

Where the client can ask its user, the user is asked. Elsewhere the preview carries a token, and only a call
with that token acts.
"""

from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp_types import CallToolResult
from pydantic import Field

from certctl_mcp.mcp_server.tools.arguments import (
    ArgumentError,
    CertificateId,
    Channel,
    CreatedAfter,
    CreatedBefore,
    Ids,
    Recipient,
    Statuses,
    Text,
    Type,
    notification_filter,
)
from certctl_mcp.mcp_server.tools.bulk_results import Outcome, account_of, besides, left_out_of, previewed
from certctl_mcp.mcp_server.tools.elicitation import Consent, can_ask, question
from certctl_mcp.mcp_server.tools.results import ToolContext, answer
from certctl_mcp.runtime.confirmations import Confirmation, ConfirmationError, moment_of_preview, read_token
from certctl_mcp.runtime.lifespan import Opening
from certctl_mcp.services.bulk import ALLOWED, Act, Preview
from certctl_mcp.services.explanations import explained
from storage.models import BulkReport, NotificationFilter, NotificationStatus

if TYPE_CHECKING:
    from certctl_mcp.services.notifications import NotificationService

_NARROWING = frozenset(NotificationFilter.model_fields) - {"statuses"}

_DEFAULT: dict[Act, tuple[NotificationStatus, ...]] = {
    Act.REQUEUE: (NotificationStatus.DEAD,),
    Act.MARK_READ: (NotificationStatus.DEAD,),
    Act.PURGE: (NotificationStatus.SENT, NotificationStatus.READ),
}


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
_Tool = Callable[..., Awaitable[CallToolResult]]


def _on_many(act: Act, name: str, description: str) -> _Tool:
    """The tool that does `act`. The SDK fills in `plan` and `consent`, by asking the user if need be."""

    async def planned(
        ctx: ToolContext,
        ids: tuple[str, ...],
        status: tuple[NotificationStatus, ...],
        channel: str | None,
        type: str | None,
        certificate_id: str | None,
        recipient: str | None,
        text: str | None,
        created_after: str | None,
        created_before: str | None,
        confirmation: str | None,
    ) -> Plan:
        def wanted(moment: datetime) -> NotificationFilter:
            found = notification_filter(
                moment,
                ids=ids,
                status=status,
                channel=channel,
                type=type,
                certificate_id=certificate_id,
                recipient=recipient,
                text=text,
                created_after=created_after,
                created_before=created_before,
            )
            return _completed(act, found, moment)

        return await _plan(ctx, act, wanted, confirmation)

    async def consented(ctx: ToolContext, plan: Annotated[Plan, Resolve(planned)]) -> Elicit[Consent] | None:
        if not plan.preview.count or not can_ask(ctx):
            return None
        application = await ctx.request_context.lifespan_context.application()
        return Elicit(question(plan.preview, frozenset(application.notifications.configured)), Consent)

    async def tool(
        ctx: ToolContext,
        plan: Annotated[Plan, Resolve(planned)],
        consent: Annotated[ElicitationResult[Consent], Resolve(consented)],
        ids: Ids = (),
        status: Statuses = (),
        channel: Channel = None,
        type: Type = None,
        certificate_id: CertificateId = None,
        recipient: Recipient = None,
        text: Text = None,
        created_after: CreatedAfter = None,
        created_before: CreatedBefore = None,
        confirmation: Token = None,
    ) -> Annotated[CallToolResult, Outcome]:
        return answer(await _outcome(ctx, plan, consent))

    tool.__name__, tool.__doc__ = name, description
    return tool


requeue_notifications = _on_many(
    Act.REQUEUE,
    "requeue_notifications",
    """Give many dead (or failed) notifications all their attempts anew; every given filter must hold.

    status defaults to dead, with ids also failed. Without confirmation it changes nothing and previews,
    unless the user was asked.
    """,
)
mark_notifications_read = _on_many(
    Act.MARK_READ,
    "mark_notifications_read",
    """Settle many notifications; those not delivered yet are NOT delivered any more.

    status defaults to dead, with ids to any; another filter is required. Without confirmation it changes
    nothing and previews, unless the user was asked.
    """,
)
purge_notifications = _on_many(
    Act.PURGE,
    "purge_notifications",
    """Delete many notifications for good, with their attempts.

    status defaults to sent and read; dead only if named, pending and failed never. created_before or ids is
    required. Without confirmation it changes nothing and previews, unless the user was asked.
    """,
)


UNHURRIED = frozenset(
    tool.__name__ for tool in (requeue_notifications, mark_notifications_read, purge_notifications)
)
"""They wait for a person, and then act on any number: only the client knows how long that may take."""


def _completed(act: Act, given: NotificationFilter, moment: datetime) -> NotificationFilter:
    """With what is meant by what is not given, and nothing that is accepted from now on.

    Raises:
        ArgumentError: it asks for what can't or should not be done.
    """
    for status in given.statuses:
        if status not in ALLOWED[act]:
            raise ArgumentError(
                f"status: {status.value} can't be meant by {act.value}; allowed: {', '.join(ALLOWED[act])}"
            )
    narrowed = {name for name in _NARROWING if getattr(given, name)}
    if act is Act.MARK_READ and not narrowed:
        raise ArgumentError(
            "say which are meant: give ids, channel, type, text, created_before or another filter"
        )
    if act is Act.PURGE and not narrowed & {"created_until", "ids"}:
        raise ArgumentError("created_before is required, such as 30d: what is accepted later is kept")
    default = () if given.ids and act is not Act.PURGE else _DEFAULT[act]
    return given.model_copy(
        update={
            "statuses": given.statuses or default,
            "created_until": min(given.created_until or moment, moment),
        }
    )


async def _plan(
    ctx: ToolContext, act: Act, wanted: Callable[[datetime], NotificationFilter], token: str | None
) -> Plan:
    opening = ctx.request_context.lifespan_context
    now = opening.clock()
    service = (await opening.application()).notifications
    problem: str | None = None
    if token is not None:
        try:
            confirmation = read_token(token, now)
            preview = await service.many.preview(act, wanted(confirmation.moment))
            opening.confirmations.verify(confirmation, _subject(preview))
        except ConfirmationError as refused:
            problem = f"{refused}."
        else:
            if preview.count == confirmation.count:
                return Plan(preview, confirmation.moment, confirmation)
            problem = f"{preview.count} would change now, and not the {confirmation.count} of the preview."
    moment = moment_of_preview(now)
    return Plan(await service.many.preview(act, wanted(moment)), moment, problem=problem)


async def _outcome(ctx: ToolContext, plan: Plan, consent: ElicitationResult[Consent]) -> Outcome:
    opening = ctx.request_context.lifespan_context
    service = (await opening.application()).notifications
    preview, before = plan.preview, account_of(service.many.interrupted(plan.preview.act))
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
    elif (now := await service.many.preview(preview.act, preview.wanted)).count != preview.count:
        problem = f"{now.count} would change now, not the {preview.count} that the user agreed to."
        return previewed(now, f"{before}{problem} Nothing was changed; call again.")

    async def progress(done: BulkReport) -> None:
        told = f"{done.changed:,} of {preview.count:,} done"
        # What is left alone counts too: progress that is told never stands still.
        come_to = done.changed + done.under_way + done.other_status + done.missing
        await ctx.report_progress(come_to, max(preview.count + preview.left_out.under_way, come_to), told)

    account = await service.many.act(preview, progress)
    if plan.confirmation is not None:
        opening.confirmations.spend(plan.confirmation)
    changed = account.report.changed
    participle, afterwards = _AFTERWARDS[preview.act]
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
    Act.REQUEUE: ("requeued", "They are attempted by themselves, now; dashboard_summary shows how it goes."),
    Act.MARK_READ: ("marked read", "Nothing more happens to them."),
    Act.PURGE: ("deleted", "They are gone."),
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
    return f"{preview.act.value} {preview.wanted.model_dump_json()}"
