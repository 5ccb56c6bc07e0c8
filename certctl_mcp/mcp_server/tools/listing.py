"""The tool that lists notifications, with which a triage begins."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Literal, NotRequired

from mcp_types import CallToolResult
from pydantic import Field
from typing_extensions import TypedDict

from certctl_mcp.mcp_server.answer_budget import rows_within
from certctl_mcp.mcp_server.tools.arguments import flatten_filter
from certctl_mcp.mcp_server.tools.results import ToolContext, answer
from certctl_mcp.mcp_server.tools.rows import Row, concise_row, row
from certctl_mcp.runtime.lifespan import Opening
from certctl_mcp.services.filters import FilterArguments
from storage.models import Notification, NotificationFilter, NotificationPage

Form = Literal["concise", "detailed"]


class NotificationList(TypedDict):
    """One page."""

    total: Annotated[int, Field(description="Of all pages")]
    notifications: list[Row]
    next_cursor: Annotated[NotRequired[str], Field(description="Absent on the last page")]


@flatten_filter
async def list_notifications(
    ctx: ToolContext,
    wanted: FilterArguments,
    form: Annotated[
        Form, Field(description="detailed adds recipient, certificate_id, longer excerpts.")
    ] = "concise",
    limit: Annotated[int, Field(ge=1, le=100, description="Maximum page size.")] = 20,
    cursor: Annotated[str | None, Field(description="next_cursor of the previous page.")] = None,
    oldest_first: Annotated[bool, Field(description="Oldest first.")] = False,
) -> Annotated[CallToolResult, NotificationList]:
    """Find notifications, newest first; every given filter must hold.

    Long texts are excerpts: get_notification shows one in full with its attempts. For counts alone: limit 1.
    Example: {"status": ["dead"], "created_after": "12h"}: accepted since last night and dead.
    """
    opening = ctx.request_context.lifespan_context
    matching = wanted.filter(opening.clock())
    page = await page_of(opening, matching, form=form, limit=limit, cursor=cursor, oldest_first=oldest_first)
    return answer(page)


async def page_of(
    opening: Opening,
    wanted: NotificationFilter,
    *,
    form: Form = "concise",
    limit: int = 20,
    cursor: str | None = None,
    oldest_first: bool = False,
) -> NotificationList:
    """Raises: InvalidCursorError, UnknownChannelError, UnknownTypeError."""
    application = await opening.application()
    page = await application.repository.list(wanted, limit=limit, cursor=cursor, oldest_first=oldest_first)
    if not page.items and cursor is None:
        await application.notifications.check_names(wanted)
    shown_row = concise_row if form == "concise" else row
    certificates = await application.notifications.certificates(page.items)
    rows = rows_within(_rows(page, shown_row, certificates))
    if len(rows) < len(page.items):
        page = application.repository.first_of(page, len(rows))
    found: NotificationList = {
        "total": await application.repository.count(wanted),
        "notifications": rows,
    }
    if page.next_cursor is not None:
        found["next_cursor"] = page.next_cursor
    return found


def _rows(
    page: NotificationPage, shown_row: Callable[[Notification], Row], certificates: Mapping[str, str]
) -> Iterator[Row]:
    for notification in page.items:
        shown = shown_row(notification)
        if (state := certificates.get(notification.id)) is not None:
            shown["certificate"] = state
        yield shown
