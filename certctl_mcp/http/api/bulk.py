"""The REST API for bulk actions: first a preview, then the change with the preview's confirmation."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from certctl_mcp.http.api.dependencies import (
    Actor,
    Opened,
    State,
    may_purge,
    may_requeue_many,
    may_settle_many,
)
from certctl_mcp.http.api.documents import NO_NUL, Name, ResponseDocument, redacted
from certctl_mcp.http.api.parameters import Moment
from certctl_mcp.http.api.routes import NOTIFICATIONS
from certctl_mcp.http.conditional import json_response
from certctl_mcp.http.state import ServingState
from certctl_mcp.runtime.application import Application
from certctl_mcp.runtime.bulk_plan import Plan, bulk_plan, confirmation_of
from certctl_mcp.runtime.confirmations import LIFETIME, ConfirmationError
from certctl_mcp.services.filters import SelectionArguments
from storage.models import AuditAction, BulkReport, NotificationStatus, Urgency

MAX_IDS = 500
MAX_CHANNELS = 100

router = APIRouter(prefix=NOTIFICATIONS)

ChangeableStatus = Literal["pending", "sent", "failed", "dead", "read"]


class Selection(BaseModel):
    """Conditions, which must all match, and the confirmation of a preview."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    ids: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_IDS)] = ()
    """Only notifications with these ids. An empty list is refused, since it would exclude nothing."""
    status: Annotated[tuple[ChangeableStatus, ...], Field(min_length=1, max_length=MAX_IDS)] = ()
    """Only notifications with any of these statuses."""
    channel: Name | None = None
    type: Name | None = None
    certificate_id: Name | None = None
    recipient: Name | None = None
    text: Name | None = None
    """Part of the message or the error; ASCII case is ignored."""
    created_from: Moment | None = None
    """ISO 8601, or an age such as 7d."""
    created_until: Moment | None = None
    """Exclusive; in the same formats."""
    urgency: Urgency | None = None
    """settled: the certificate was renewed or revoked since; open: it was not; urgent: and it expires within
    a day."""
    confirmation: Annotated[str, StringConstraints(max_length=100, pattern=NO_NUL)] | None = None
    """From the preview; the rest of the body must be the same. Without it, nothing is changed."""

    def arguments(self) -> SelectionArguments:
        return SelectionArguments(
            ids=self.ids,
            status=tuple(map(NotificationStatus, self.status)),
            channel=self.channel,
            type=self.type,
            certificate_id=self.certificate_id,
            recipient=self.recipient,
            text=self.text,
            created_after=self.created_from,
            created_before=self.created_until,
            urgency=self.urgency,
        )


class ChannelCount(ResponseDocument):
    """The number of notifications of one channel."""

    channel: str
    count: int


class LeftOut(ResponseDocument):
    """Notifications that match but are not changed, by reason."""

    under_way: int
    """An attempt is in flight."""
    other_status: int
    """Their status does not allow it."""
    missing: int
    """Given ids for which there is no notification."""


class BulkPreview(ResponseDocument):
    """What would be changed. Nothing has been changed."""

    status: Literal["previewed"] = "previewed"
    would_change: int
    by_status: dict[NotificationStatus, int]
    by_channel: tuple[ChannelCount, ...]
    """At most 100, those with the most notifications first."""
    sample_ids: tuple[str, ...]
    """The oldest ones."""
    accepted_from: datetime | None = None
    accepted_until: datetime | None = None
    """When the oldest and the newest were accepted."""
    undeliverable: int
    """Would be requeued on channels over which nothing is delivered."""
    left_out: LeftOut
    remembered: int
    """Kept by a purge: certctl remembers its alerts by them, and would alert again without them."""
    confirmation: str | None = None
    """Valid once, for this caller and exactly this selection, until `confirm_until`. Absent if nothing would
    change."""
    confirm_until: datetime | None = None


class BulkResult(ResponseDocument):
    """What was changed."""

    status: Literal["requeued", "marked_as_read", "purged"]
    changed: int
    left_out: LeftOut
    still_matching: int
    """What it would change if it ran again."""


Outcome = BulkPreview | BulkResult


@router.post("/requeue", response_model=Outcome, dependencies=[may_requeue_many])
async def requeue_notifications(selection: Selection, opened: Opened, state: State, actor: Actor) -> Response:
    """Put many dead, failed or undelivered notifications back in the queue, with no failures counted.

    Without a status, dead ones are requeued; with ids, those whose status allows it. The status sent selects
    undelivered ones.
    """
    return json_response(await _outcome(AuditAction.REQUEUE, selection, opened, state, actor))


@router.post("/read", response_model=Outcome, dependencies=[may_settle_many])
async def mark_notifications_read(
    selection: Selection, opened: Opened, state: State, actor: Actor
) -> Response:
    """Mark many notifications as read. Undelivered ones will not be delivered.

    Without a status, dead ones are settled; with ids, those in any status. A condition other than the status
    is required.
    """
    return json_response(await _outcome(AuditAction.MARK_READ, selection, opened, state, actor))


@router.post("/purge", response_model=Outcome, dependencies=[may_purge])
async def purge_notifications(selection: Selection, opened: Opened, state: State, actor: Actor) -> Response:
    """Permanently delete many notifications and their attempts.

    Without a status, sent and read ones are deleted; dead ones only if named. Notifications that are still to
    be delivered are never deleted. created_until or ids is required.
    """
    return json_response(await _outcome(AuditAction.PURGE, selection, opened, state, actor))


async def _outcome(
    action: AuditAction, selection: Selection, opened: Application, state: ServingState, actor: str
) -> Outcome:
    service = opened.notifications
    plan = await bulk_plan(state.opened, action, selection.arguments(), selection.confirmation, caller=actor)
    if plan.problem is not None:
        raise ConfirmationError(f"{plan.problem} Nothing was changed; leave it out for a new preview.")
    if plan.confirmation is None:
        if not plan.preview.count:
            await service.check_names(plan.preview.wanted)
        return _preview(plan, state, await service.channels.deliverable(), actor)
    done = await service.bulk.run(plan.preview, _unreported, actor=actor)
    state.opened.confirmations.spend(plan.confirmation)
    return BulkResult(
        status=_DONE[action],
        changed=done.report.changed,
        left_out=_left_out(done.report),
        still_matching=done.still_matching,
    )


_DONE: dict[AuditAction, Literal["requeued", "marked_as_read", "purged"]] = {
    AuditAction.REQUEUE: "requeued",
    AuditAction.MARK_READ: "marked_as_read",
    AuditAction.PURGE: "purged",
}


async def _unreported(_: BulkReport) -> None:
    """A response has no place for progress."""


def _preview(plan: Plan, state: ServingState, deliverable: frozenset[str], actor: str) -> BulkPreview:
    preview = plan.preview
    oldest, newest = preview.span or (None, None)
    return BulkPreview(
        would_change=preview.count,
        by_status=dict(preview.by_status),
        by_channel=tuple(
            ChannelCount(channel=redacted(channel), count=count)
            for channel, count in preview.by_channel.most_common(MAX_CHANNELS)
        ),
        sample_ids=preview.sample_ids,
        accepted_from=oldest,
        accepted_until=newest,
        undeliverable=preview.undeliverable(deliverable),
        left_out=_left_out(preview.left_out),
        remembered=preview.remembered,
        confirmation=confirmation_of(state.opened, plan, caller=actor) if preview.count else None,
        confirm_until=plan.moment + LIFETIME if preview.count else None,
    )


def _left_out(report: BulkReport) -> LeftOut:
    return LeftOut(under_way=report.under_way, other_status=report.other_status, missing=report.missing)
