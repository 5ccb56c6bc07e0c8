"""The REST API for the causes of dead letters, and what to do about each."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict

from certctl_mcp.http.api.dependencies import Opened, State, may_read
from certctl_mcp.http.api.documents import (
    MAX_TEXT_IN_LIST,
    IfNoneMatch,
    Name,
    ResponseDocument,
    redacted,
    redacted_or_none,
)
from certctl_mcp.http.api.parameters import Empty, Moment
from certctl_mcp.http.conditional import json_response
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.services.diagnosis.diagnosis import Finding
from certctl_mcp.services.filters import FilterArguments
from storage.models import NotificationFilter, NotificationStatus, Urgency

router = APIRouter(prefix="/api/v1")


class DiagnosisQuery(BaseModel):
    """Filters, which must all match. As in certctl, other parameters are ignored."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    channel: Name | Empty = ""
    type: Name | Empty = ""
    certificate_id: Name | Empty = ""
    recipient: Name | Empty = ""
    text: Name | Empty = ""
    """Part of the message or the error; ASCII case is ignored."""
    created_from: Moment | Empty = ""
    """ISO 8601, or an age such as 7d."""
    created_until: Moment | Empty = ""
    """Exclusive; in the same formats."""
    urgency: Urgency | Empty = ""
    """settled: the certificate was renewed or revoked since; open: it was not; urgent: and it expires within
    a day."""
    include_failing: bool = True
    """Include notifications that failed and are not dead."""

    def arguments(self) -> FilterArguments:
        return FilterArguments(
            channel=self.channel or None,
            type=self.type or None,
            certificate_id=self.certificate_id or None,
            recipient=self.recipient or None,
            text=self.text or None,
            created_after=self.created_from or None,
            created_before=self.created_until or None,
            urgency=self.urgency or None,
        )


class RequeueSelection(ResponseDocument):
    """The body of a `POST /api/v1/notifications/requeue` that requeues the notifications of a cause."""

    status: tuple[NotificationStatus, ...]
    channel: str | None = None
    type: str | None = None
    certificate_id: str | None = None
    recipient: str | None = None
    text: str | None = None
    created_from: datetime | None = None
    created_until: datetime | None = None


class Cause(ResponseDocument):
    """Failures of one channel and one kind, in a period without long gaps."""

    channel: str
    kind: FailureKind
    dead: int
    failing: int
    """Failed and not dead."""
    undelivered: int
    """Count as sent, although nothing was delivered."""
    first_at: datetime
    last_at: datetime
    """When the newest attempts of its notifications began."""
    cause: str
    action: str
    """What to do."""
    requeue: RequeueSelection | None = None
    """What to requeue once the cause is fixed, if anything."""
    requeue_count: int | None = None
    """How many notifications that would requeue now."""
    sample_id: str
    sample_error: str | None = None


class DiagnosisDocument(ResponseDocument):
    """What failed and why. The causes may be only the largest ones; the counts show whether there are
    more."""

    dead: int
    failing: int
    undelivered: int
    urgency: str | None = None
    """How many of the dead letters still matter, judging by their certificates."""
    causes: tuple[Cause, ...]
    """Those with the most dead letters first."""


@router.get("/diagnosis", response_model=DiagnosisDocument, dependencies=[may_read])
async def get_diagnosis(
    query: Annotated[DiagnosisQuery, Query()], opened: Opened, state: State, if_none_match: IfNoneMatch = None
) -> Response:
    """Get the causes of dead letters, grouped by channel, kind of failure and time, each with what to do."""
    now = state.opened.clock()
    wanted = query.arguments().filter(now)
    service = opened.notifications
    found = await service.diagnose(wanted, now, include_failing=query.include_failing)
    if not found.findings:
        await service.check_names(wanted)
    document = DiagnosisDocument(
        dead=found.dead,
        failing=found.failing,
        undelivered=found.undelivered,
        urgency=found.urgency,
        causes=tuple(map(_cause, found.findings)),
    )
    return json_response(document, if_none_match=if_none_match)


def _cause(finding: Finding) -> Cause:
    span, advice, selection = finding.span, finding.advice, finding.requeue
    error = redacted_or_none(span.error)
    return Cause(
        channel=redacted(span.channel),
        kind=span.kind,
        dead=span.dead,
        failing=span.failing,
        undelivered=span.undelivered,
        first_at=span.first_at,
        last_at=span.last_at,
        cause=advice.cause,
        action=advice.action.replace("get_notification", "GET /api/v1/notifications/{id}"),
        requeue=None if selection is None else _selection(selection.wanted),
        requeue_count=None if selection is None else selection.count,
        sample_id=span.sample_id,
        sample_error=None if error is None else error[:MAX_TEXT_IN_LIST],
    )


def _selection(wanted: NotificationFilter) -> RequeueSelection:
    return RequeueSelection(
        status=wanted.statuses,
        channel=wanted.channel,
        type=wanted.type,
        certificate_id=wanted.certificate_id,
        recipient=wanted.recipient,
        text=wanted.text,
        created_from=wanted.created_from,
        created_until=wanted.created_until,
    )
