"""What does certctl's own interface look like here? Notifications and counts, for its clients and others."""

import re
from typing import Annotated, Literal
from urllib.parse import quote, unquote

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from starlette.exceptions import HTTPException

from certctl_mcp.config.api_keys import Role
from certctl_mcp.config.tool_groups import ToolGroup
from certctl_mcp.http.api.conditional import document
from certctl_mcp.http.api.documents import (
    AuthCheck,
    AuthInfo,
    CreateNotification,
    MarkedAsRead,
    Name,
    NotificationDetail,
    NotificationDocument,
    NotificationList,
    Requeued,
    notification_detail,
    notification_document,
)
from certctl_mcp.http.auth.principal import actor_of, caller_of, permitted
from certctl_mcp.http.state import ServingState, state_of
from certctl_mcp.runtime.application import Application
from certctl_mcp.services.dashboard import DashboardSummary
from storage.models import NewNotification, NotificationFilter, NotificationStatus

PREFIX = "/api/v1"
NOTIFICATIONS = f"{PREFIX}/notifications"

PER_PAGE = 50
MOST_PER_PAGE = 500
LAST_PAGE = 100_000
MOST_ATTEMPTS = 100
MOST_ENTRIES = 100

router = APIRouter(prefix=PREFIX)

State = Annotated[ServingState, Depends(state_of)]


async def _application(state: State) -> Application:
    return await state.opened.application()


Opened = Annotated[Application, Depends(_application)]


async def _actor(request: Request) -> str:
    return actor_of(request.scope)


Actor = Annotated[str, Depends(_actor)]
"""The caller's name for the audit log."""


class _Allowed:
    """A dependency: the caller may do what tools of `group` do."""

    def __init__(self, group: ToolGroup, what: str) -> None:
        self._group = group
        self._what = what

    async def __call__(self, request: Request, state: State) -> None:
        caller = caller_of(request.scope)
        if self._group in permitted(caller.role, state.settings):
            return
        if caller.role is Role.READER:
            raise HTTPException(403, f"The key {caller.name!r} may only read, not {self._what}.")
        raise HTTPException(403, f"The operator does not let anybody {self._what} here.")


_may_read = Depends(_Allowed(ToolGroup.TRIAGE, "look at notifications"))
_may_send = Depends(_Allowed(ToolGroup.SEND, "send"))
_may_requeue = Depends(_Allowed(ToolGroup.REQUEUE, "requeue"))
_may_settle = Depends(_Allowed(ToolGroup.SETTLE, "mark as read"))

Empty = Literal[""]
"""A query parameter without a value counts as not given."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _written_out(moment: object) -> object:
    if isinstance(moment, str) and not _MOMENT.fullmatch(moment):
        raise ValueError("must be a moment with its time zone, such as 2026-01-31T08:00:00Z")
    return moment


# A bare number would pass for seconds since 1970.
Moment = Annotated[AwareDatetime, BeforeValidator(_written_out)]
Id = Annotated[str, Path(alias="id", description="Percent-encoded.", min_length=1, examples=["notif-0190"])]
IfNoneMatch = Annotated[
    str | None, Header(description="The ETag of an earlier answer; where nothing has changed: 304.")
]


class Wanted(BaseModel):
    """Which notifications, and which page of them. All conditions given must hold."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    status: NotificationStatus | Empty = ""
    channel: Name | Empty = ""
    type: Name | Empty = ""
    certificate_id: Name | Empty = ""
    recipient: Name | Empty = ""
    text: Name | Empty = ""
    """A part of the message or the error, without regard to ASCII case."""
    created_from: Moment | Empty = ""
    created_until: Moment | Empty = ""
    """Exclusive."""
    page: Annotated[int, Field(ge=1, le=LAST_PAGE)] | Empty = ""
    per_page: Annotated[int, Field(ge=1, le=MOST_PER_PAGE)] | Empty = ""
    cursor: Annotated[str, StringConstraints(max_length=2000)] | Empty = ""
    """The next_cursor of a page, to go on after it; goes with per_page and not with page."""

    def filter(self) -> NotificationFilter:
        return NotificationFilter(
            statuses=(self.status,) if self.status else (),
            channel=self.channel or None,
            type=self.type or None,
            certificate_id=self.certificate_id or None,
            recipient=self.recipient or None,
            text=self.text or None,
            created_from=self.created_from or None,
            created_until=self.created_until or None,
        )


@router.get("/notifications", response_model=NotificationList, dependencies=[_may_read])
async def list_notifications(
    wanted: Annotated[Wanted, Query()], opened: Opened, if_none_match: IfNoneMatch = None
) -> Response:
    """List notifications, newest first."""
    if wanted.cursor and wanted.page:
        raise HTTPException(422, "page and cursor exclude each other: give one of them")
    per_page, page = wanted.per_page or PER_PAGE, wanted.page or 1
    found = await opened.notifications.list(
        wanted.filter(), limit=per_page, cursor=wanted.cursor or None, skip=(page - 1) * per_page
    )
    answer = NotificationList(
        data=tuple(notification_document(notification) for notification in found.items),
        total=await opened.notifications.count(wanted.filter()),
        page=None if wanted.cursor else page,
        per_page=per_page,
        next_cursor=found.next_cursor,
    )
    return document(answer, if_none_match=if_none_match)


@router.post("/notifications", status_code=201, response_model=NotificationDocument, dependencies=[_may_send])
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
            description="Sent again with the same key, the notification is accepted once.",
        ),
    ] = None,
) -> Response:
    """Accept an alert for delivery. It is durable when this is answered, and delivered soon after."""
    accepted = await opened.notifications.send(
        NewNotification(**new.model_dump(), idempotency_key=_unquoted(idempotency_key)),
        actor=actor,
    )
    notification = accepted.notification
    headers = {"Location": f"{NOTIFICATIONS}/{quote(notification.id, safe='')}"}
    if not accepted.created:
        headers["Idempotent-Replayed"] = "true"
    return document(notification_document(notification), 201, headers)


@router.get("/notifications/{id}", response_model=NotificationDetail, dependencies=[_may_read])
async def get_notification(
    notification_id: Id, opened: Opened, if_none_match: IfNoneMatch = None
) -> Response:
    """One notification, its newest attempts, and who did what to it."""
    meant = _meant(notification_id)
    found = await opened.notifications.newest_attempts(meant, MOST_ATTEMPTS)
    audit = await opened.notifications.audit(meant, limit=MOST_ENTRIES)
    return document(notification_detail(*found, audit), if_none_match=if_none_match)


@router.post("/notifications/{id}/requeue", response_model=Requeued, dependencies=[_may_requeue])
async def requeue_notification(notification_id: Id, opened: Opened, actor: Actor) -> Response:
    """Give a dead or failed notification all its attempts anew; the first is made at once."""
    await opened.notifications.requeue_notification(_meant(notification_id), actor=actor)
    return document(Requeued())


@router.post("/notifications/{id}/read", response_model=MarkedAsRead, dependencies=[_may_settle])
async def mark_notification_read(notification_id: Id, opened: Opened, actor: Actor) -> Response:
    """Nothing is left to do about it; one that was not delivered yet is not delivered any more."""
    await opened.notifications.mark_as_read(_meant(notification_id), actor=actor)
    return document(MarkedAsRead())


@router.get("/stats/summary", response_model=DashboardSummary, dependencies=[_may_read])
async def get_dashboard_summary(opened: Opened, if_none_match: IfNoneMatch = None) -> Response:
    """How everything stands."""
    summary = await opened.stats.dashboard_summary()
    return document(summary, if_none_match=if_none_match, momentary=frozenset({"completed_at"}))


@router.get("/auth/info", response_model=AuthInfo)
async def get_auth_info(state: State) -> Response:
    """Whether a key is needed. Asked without one."""
    required = state.settings.http.authenticates
    return document(AuthInfo(auth_type="api-key" if required else "none", required=required))


@router.get("/auth/check", response_model=AuthCheck)
async def check_auth(request: Request) -> Response:
    """Whose key it is that the request came with."""
    caller = caller_of(request.scope)
    return document(
        AuthCheck(user=caller.name, admin=caller.role is Role.ADMIN, read_only=caller.role is Role.READER)
    )


def _meant(encoded: str) -> str:
    """The id, which the path holds as the client encoded it: it may contain a slash."""
    return unquote(encoded, errors="replace")


def _unquoted(key: str | None) -> str | None:
    """The header's draft has the key in quotes; most clients leave them out."""
    if key is not None and len(key) > 2 and key[0] == key[-1] == '"':
        return key[1:-1]
    return key
