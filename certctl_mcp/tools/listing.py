"""Which notifications are there? The tool that a triage begins with."""

import difflib
from typing import TYPE_CHECKING, Annotated, NotRequired

from mcp_types import CallToolResult
from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from certctl_mcp.errors import UnknownChannelError
from certctl_mcp.tools.answers import ToolContext, answer
from certctl_mcp.tools.arguments import ArgumentError, moment_argument
from certctl_mcp.tools.rows import Row, row
from storage.models import NotificationFilter, NotificationStatus, NotificationType

if TYPE_CHECKING:
    from certctl_mcp.service import NotificationService


class NotificationList(TypedDict):
    """One page."""

    notifications: list[Row]
    next_cursor: Annotated[NotRequired[str], Field(description="Absent on the last page")]


def _several(given: object) -> object:
    return (given,) if isinstance(given, str) else given


async def list_notifications(
    ctx: ToolContext,
    status: Annotated[
        tuple[NotificationStatus, ...],
        BeforeValidator(_several),
        Field(description="Any of these; default all."),
    ] = (),
    channel: Annotated[str | None, Field(description="Exact name; see list_channels.")] = None,
    type: Annotated[str | None, Field(description="Exact, such as ExpirationWarning.")] = None,
    certificate_id: Annotated[str | None, Field(description="Exact.")] = None,
    recipient: Annotated[str | None, Field(description="Exact.")] = None,
    text: Annotated[
        str | None,
        Field(min_length=1, max_length=255, description="Part of the message or error, any case."),
    ] = None,
    created_after: Annotated[
        str | None,
        Field(description="ISO 8601 (UTC without offset), or how long ago, such as 90m, 24h, 7d. Inclusive."),
    ] = None,
    created_before: Annotated[str | None, Field(description="Likewise. Exclusive.")] = None,
    limit: Annotated[int, Field(ge=1, le=100, description="Page size.")] = 20,
    cursor: Annotated[str | None, Field(description="next_cursor of the page before.")] = None,
) -> Annotated[CallToolResult, NotificationList]:
    """Find notifications, newest first; every given filter must hold.

    Long texts are excerpts: get_notification shows one in full with its attempts. For counts alone use
    dashboard_summary. Example: {"status": ["dead"], "created_after": "12h"}: accepted since last night and
    dead.
    """
    opening = ctx.request_context.lifespan_context
    now = opening.clock()
    wanted = NotificationFilter(
        statuses=status,
        channel=channel,
        type=type,
        certificate_id=certificate_id,
        recipient=recipient,
        text=text,
        created_from=moment_argument("created_after", created_after, now) if created_after else None,
        created_until=moment_argument("created_before", created_before, now) if created_before else None,
    )
    service = (await opening.application()).notifications
    page = await service.list(wanted, limit=limit, cursor=cursor)
    if not page.items and cursor is None:
        await _refuse_mistyped(wanted, service)
    found: NotificationList = {"notifications": [row(notification) for notification in page.items]}
    if page.next_cursor is not None:
        found["next_cursor"] = page.next_cursor
    return answer(found)


async def _refuse_mistyped(wanted: NotificationFilter, service: "NotificationService") -> None:
    """An empty answer to a misspelt name would pass for good news."""
    if wanted.channel is not None:
        configured = tuple(channel.name for channel in await service.channels())
        if wanted.channel not in configured and not await _any(
            NotificationFilter(channel=wanted.channel), service
        ):
            raise UnknownChannelError(wanted.channel, configured)
    if wanted.type is not None:
        known = [known.value for known in NotificationType]
        if wanted.type not in known and not await _any(NotificationFilter(type=wanted.type), service):
            nearest = difflib.get_close_matches(wanted.type, known, n=1)
            meant = f"; did you mean {nearest[0]!r}?" if nearest else "."
            raise ArgumentError(
                f"type: no notification has the type {wanted.type!r}{meant} certctl's are {', '.join(known)}."
            )


async def _any(wanted: NotificationFilter, service: "NotificationService") -> bool:
    return bool((await service.list(wanted, limit=1)).items)
