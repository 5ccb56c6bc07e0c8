"""The REST API for notifications: certctl's own routes, usable by its clients."""

import re
from functools import partial
from typing import Annotated
from urllib.parse import quote

import anyio
import anyio.to_thread
from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, StringConstraints
from starlette.exceptions import HTTPException

from certctl_mcp.http.api.dependencies import (
    Actor,
    Opened,
    State,
    may_read,
    may_requeue,
    may_retry,
    may_send,
    may_settle,
)
from certctl_mcp.http.api.documents import (
    CreateNotification,
    IfNoneMatch,
    MarkedAsRead,
    Name,
    NotificationDetail,
    NotificationDocument,
    NotificationList,
    Requeued,
    Retried,
    notification_detail,
    notification_document,
)
from certctl_mcp.http.api.parameters import Empty, decoded, whole_number
from certctl_mcp.http.conditional import Document, document_of, json_response
from certctl_mcp.runtime.application import Application
from storage.models import OUR_STATUSES, TRACEPARENT, NewNotification, NotificationFilter

PREFIX = "/api/v1"
NOTIFICATIONS = f"{PREFIX}/notifications"

PER_PAGE = 50
MAX_PER_PAGE = 500
MAX_SKIPPED = 2**62
"""Databases count rows in 64 bits."""
MAX_ATTEMPTS = 100
MAX_AUDIT_ENTRIES = 100

LONG_TEXT = 20_000
"""The length in characters from which redacting a message would block the event loop."""

router = APIRouter(prefix=PREFIX)

_TRACEPARENT = re.compile(TRACEPARENT)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _with_time_zone(timestamp: object) -> object:
    if isinstance(timestamp, str) and not _TIMESTAMP.fullmatch(timestamp):
        raise ValueError("must be a timestamp with a time zone, such as 2026-01-31T08:00:00Z")
    return timestamp


# Pydantic would read a bare number as seconds since 1970.
Timestamp = Annotated[AwareDatetime, BeforeValidator(_with_time_zone)]
Id = Annotated[str, Path(alias="id", description="Percent-encoded.", min_length=1, examples=["notif-0190"])]


class ListQuery(BaseModel):
    """Filters, which must all match, and the page.

    As in certctl, a page that is not a number is ignored, as are other parameters.
    """

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    status: str = ""
    """pending, sent, failed, dead, read, or what another program wrote."""
    channel: Name | Empty = ""
    type: Name | Empty = ""
    certificate_id: Name | Empty = ""
    recipient: Name | Empty = ""
    text: Name | Empty = ""
    """Part of the message or the error; ASCII case is ignored."""
    created_from: Timestamp | Empty = ""
    created_until: Timestamp | Empty = ""
    """Exclusive."""
    page: str = ""
    """From 1. Anything else counts as 1."""
    per_page: str = ""
    """From 1 to 500. Anything else counts as 50."""
    cursor: Annotated[str, StringConstraints(max_length=2000)] | Empty = ""
    """The next_cursor of the previous page; can be combined with per_page but not with page."""

    def filter(self) -> NotificationFilter:
        own = next((status for status in OUR_STATUSES if status.value == self.status), None)
        return NotificationFilter(
            statuses=() if own is None else (own,),
            stored_statuses=(self.status,) if self.status and own is None else None,
            channel=self.channel or None,
            type=self.type or None,
            certificate_id=self.certificate_id or None,
            recipient=self.recipient or None,
            text=self.text or None,
            created_from=self.created_from or None,
            created_until=self.created_until or None,
        )


@router.get("/notifications", response_model=NotificationList, dependencies=[may_read])
async def list_notifications(
    query: Annotated[ListQuery, Query()], opened: Opened, state: State, if_none_match: IfNoneMatch = None
) -> Response:
    """List notifications, newest first."""
    if query.cursor and query.page:
        raise HTTPException(422, "page and cursor can't be combined: give one of them")
    version = opened.repository.changes.data_version
    page = await state.shared.get(query.model_dump_json(), partial(_page, query, opened), version)
    return json_response(page, if_none_match=if_none_match)


async def _page(query: ListQuery, opened: Application) -> Document:
    page = whole_number(query.page, default=1)
    per_page = whole_number(query.per_page, default=PER_PAGE, at_most=MAX_PER_PAGE)
    skip = 0 if query.cursor else min((page - 1) * per_page, MAX_SKIPPED)
    found = await opened.repository.list(
        query.filter(), limit=per_page, cursor=query.cursor or None, skip=skip
    )
    return document_of(
        NotificationList(
            data=tuple(notification_document(notification) for notification in found.items),
            total=await opened.repository.count(query.filter()),
            page=None if query.cursor else page,
            per_page=per_page,
            next_cursor=found.next_cursor,
        )
    )


@router.post("/notifications", status_code=201, response_model=NotificationDocument, dependencies=[may_send])
async def create_notification(
    new: CreateNotification,
    opened: Opened,
    actor: Actor,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern="^[!-~]+$",
            description="Retries with the same key create only one notification.",
        ),
    ] = None,
    traceparent: Annotated[
        str | None, Header(description="Of the trace to continue (W3C Trace Context); ignored if invalid.")
    ] = None,
) -> Response:
    """Accept an alert for delivery. It is stored durably before this returns."""
    accepted = await opened.notifications.send(
        NewNotification(
            **new.model_dump(),
            idempotency_key=_unquoted(idempotency_key),
            traceparent=traceparent if _TRACEPARENT.fullmatch(traceparent or "") else None,
        ),
        actor=actor,
    )
    notification = accepted.notification
    headers = {"Location": f"{NOTIFICATIONS}/{quote(notification.id, safe='')}"}
    if not accepted.created:
        headers["Idempotent-Replayed"] = "true"
    return json_response(notification_document(notification), 201, headers)


@router.get("/notifications/{id}", response_model=NotificationDetail, dependencies=[may_read])
async def get_notification(
    notification_id: Id, opened: Opened, state: State, if_none_match: IfNoneMatch = None
) -> Response:
    """Get a notification with its newest attempts and its audit log."""
    found = await opened.notifications.newest_attempts(decoded(notification_id), MAX_ATTEMPTS)
    # The given id may be shortened.
    full_id = found[0].id
    audit = await opened.repository.audit(full_id, limit=MAX_AUDIT_ENTRIES)
    replacement = await opened.repository.replacement(full_id)

    def respond() -> Response:
        return json_response(notification_detail(*found, audit, replacement), if_none_match=if_none_match)

    if len(found[0].message) < LONG_TEXT:
        return respond()
    return await anyio.to_thread.run_sync(respond, limiter=state.long_work)


@router.post("/notifications/{id}/requeue", response_model=Requeued, dependencies=[may_requeue])
async def requeue_notification(notification_id: Id, opened: Opened, actor: Actor) -> Response:
    """Put a dead or failed notification back in the queue, with no failed attempts counted."""
    await opened.notifications.requeue_notification(decoded(notification_id), actor=actor)
    return json_response(Requeued())


@router.post("/notifications/{id}/read", response_model=MarkedAsRead, dependencies=[may_settle])
async def mark_notification_read(notification_id: Id, opened: Opened, actor: Actor) -> Response:
    """Mark a notification as read. An undelivered one will not be delivered."""
    await opened.notifications.mark_as_read(decoded(notification_id), actor=actor)
    return json_response(MarkedAsRead())


@router.post("/notifications/retry-due", response_model=Retried, dependencies=[may_retry])
async def retry_due_notifications(opened: Opened) -> Response:
    """Attempt everything that is due now and wait for the outcomes, at most 45 seconds.

    Rarely needed: due notifications are attempted automatically.
    """
    report = await opened.notifications.retry_failed_notifications()
    return json_response(Retried(**report.model_dump()))


def _unquoted(key: str | None) -> str | None:
    """The Idempotency-Key draft quotes the key; most clients don't."""
    if key is not None and len(key) > 2 and key[0] == key[-1] == '"':
        return key[1:-1]
    return key
