"""The resources: the answers of the read-only tools under URIs, to attach to a conversation or subscribe to.

The URI of a notification may be spelt in several ways: any spelling that decodes to its id is accepted.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp_types import (
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    TextResourceContents,
)
from mcp_types import Resource as ListedResource
from mcp_types import ResourceTemplate as ListedTemplate
from pydantic_core import to_json

from certctl_mcp.mcp_server.answer_budget import fitted
from certctl_mcp.mcp_server.tools.arguments import ArgumentError
from certctl_mcp.mcp_server.tools.details import notification_details
from certctl_mcp.mcp_server.tools.listing import page_of
from certctl_mcp.mcp_server.tools.overview import channels_now, summary_now
from certctl_mcp.mcp_server.tools.results import untrusted_meta
from certctl_mcp.runtime.lifespan import Opening
from certctl_mcp.services.errors import RequestError
from certctl_mcp.services.explanations import unknown_name
from certctl_mcp.text.untrusted import decode_id
from certctl_mcp.ui import app
from storage.errors import NotificationNotFoundError
from storage.models import NotificationFilter, NotificationStatus

NOTIFICATION_TEMPLATE = "certctl://notifications/{id}"
LIST_PARTS = ("status", "channel", "type")
LIST_TEMPLATE = f"certctl://notifications{{?{','.join(LIST_PARTS)}}}"

SAME_AS_TOOLS = frozenset({"get_notification", "list_notifications", "dashboard_summary", "list_channels"})
"""The tools whose results are available as resources."""

_JSON = "application/json"
_ADDRESS = re.compile(
    r"certctl://(?P<place>[a-z]+)(?:/(?P<rest>.+)|\?(?P<query>.*))?", re.IGNORECASE | re.DOTALL
)

Content = Callable[[Opening], Awaitable[Mapping[str, object]]]
Context = ServerRequestContext[Opening, Any]


class UnknownResourceError(RequestError):
    """No resource has this URI."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What can be read at one URI."""

    uri: str
    """The canonical spelling, used as a key."""
    content: Content
    volatile: frozenset[str] = frozenset()
    """Keys of the content that differ between reads although nothing has changed."""

    async def text(self, opening: Opening) -> str:
        return to_json(fitted(await self.content(opening))).decode()

    async def fingerprint(self, opening: Opening) -> bytes:
        """A hash of the content, equal as long as nothing has changed."""
        content = await self.content(opening)
        stable = {key: value for key, value in content.items() if key not in self.volatile}
        return sha256(to_json(stable)).digest()


async def _dead_letters(opening: Opening) -> Mapping[str, object]:
    return await page_of(opening, NotificationFilter(statuses=(NotificationStatus.DEAD,)))


_FIXED = (
    (
        ListedResource(
            uri="certctl://notifications/dead",
            name="dead-letters",
            title="Dead letters",
            description="The 20 newest dead notifications, and the total number.",
            mime_type=_JSON,
        ),
        _dead_letters,
        frozenset[str](),
    ),
    (
        ListedResource(
            uri="certctl://dashboard",
            name="dashboard",
            title="Dashboard summary",
            description="Counts of certificates, agents, jobs and notifications.",
            mime_type=_JSON,
        ),
        summary_now,
        frozenset({"completed_at"}),
    ),
    (
        ListedResource(
            uri="certctl://channels",
            name="channels",
            title="Channels",
            description="The configured channels and the results of their attempts in the last 24 hours.",
            mime_type=_JSON,
        ),
        channels_now,
        frozenset[str](),
    ),
)
_RESOURCES = {listed.uri: Resource(listed.uri, content, keys) for listed, content, keys in _FIXED}

_TEMPLATES = (
    ListedTemplate(
        uri_template=NOTIFICATION_TEMPLATE,
        name="notification",
        title="One notification",
        description="What happened to it and what happens next, its texts and its attempts.",
        mime_type=_JSON,
    ),
    ListedTemplate(
        uri_template=LIST_TEMPLATE,
        name="notifications",
        title="Notifications by status, channel and type",
        description="The 20 newest that match every given filter.",
        mime_type=_JSON,
    ),
)


def find(uri: str) -> Resource:
    """The resource at `uri`. Whether a notification with that id exists is only known when the resource is
    read.

    Raises:
        UnknownResourceError: no resource has this URI.
        ArgumentError: a parameter of a list is unknown, repeated or invalid.
    """
    address = _ADDRESS.fullmatch(uri)
    if address is not None:
        place, rest, query = address["place"].lower(), address["rest"], address["query"]
        decoded = "" if rest is None else decode_id(rest)
        fixed = _RESOURCES.get(f"certctl://{place}/{decoded}" if decoded else f"certctl://{place}")
        if fixed is not None and query is None:
            return fixed
        if place == "notifications" and decoded:
            return _notification(decoded)
        if place == "notifications" and rest is None:
            return _list(query or "")
    raise UnknownResourceError(
        unknown_name("resource", uri, (*_RESOURCES, NOTIFICATION_TEMPLATE, LIST_TEMPLATE))
    )


def _notification(notification_id: str) -> Resource:
    # Not the id as it is displayed, because long ids are cut there, and two could share one URI.
    uri = f"certctl://notifications/{quote(notification_id, safe=':@+', errors='replace')}"
    # The account mentions the current time; everything else in it is in the other fields too.
    return Resource(uri, partial(_details, notification_id), frozenset({"account"}))


async def _details(notification_id: str, opening: Opening) -> Mapping[str, object]:
    try:
        return await notification_details(opening, notification_id)
    except NotificationNotFoundError:
        # Ids are displayed encoded, and a client that expands templates encodes them once more.
        decoded = decode_id(notification_id)
        if decoded == notification_id:
            raise
        return await notification_details(opening, decoded)


def _list(query: str) -> Resource:
    pairs = parse_qsl(query, errors="replace")
    given = dict(pairs)
    for name in given.keys() - set(LIST_PARTS):
        raise ArgumentError(unknown_name(f"part of {LIST_TEMPLATE}", name, LIST_PARTS))
    if len(given) < len(pairs):
        raise ArgumentError(f"{', '.join(LIST_PARTS)}: give each at most once")
    status = given.get("status")
    statuses = tuple(known.value for known in NotificationStatus)
    if status is not None and status not in statuses:
        raise ArgumentError(unknown_name("status", status, statuses))
    wanted = NotificationFilter(
        statuses=() if status is None else (NotificationStatus(status),),
        channel=given.get("channel"),
        type=given.get("type"),
    )
    uri = f"certctl://notifications?{urlencode(sorted(given.items()), errors='replace')}"
    return Resource(uri, lambda opening: page_of(opening, wanted))


def register_resources(server: Server[Opening]) -> None:
    """Register the handlers for resources with `server`, including the page, to which a tool links."""

    async def read(ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        if params.uri == app.URI:
            page = app.app_page(ctx.lifespan_context.settings.max_attempts)
            return ReadResourceResult(contents=[page])
        return await _read(ctx, params)

    server.add_request_handler("resources/list", PaginatedRequestParams, _listed)
    server.add_request_handler("resources/templates/list", PaginatedRequestParams, _templates)
    server.add_request_handler("resources/read", ReadResourceRequestParams, read)


async def _listed(_: Context, __: PaginatedRequestParams) -> ListResourcesResult:
    return ListResourcesResult(resources=[listed for listed, _, _ in _FIXED])


async def _templates(_: Context, __: PaginatedRequestParams) -> ListResourceTemplatesResult:
    return ListResourceTemplatesResult(resource_templates=list(_TEMPLATES))


async def _read(ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
    text = await find(params.uri).text(ctx.lifespan_context)
    contents = TextResourceContents(uri=params.uri, text=text, mime_type=_JSON)
    return ReadResourceResult(contents=[contents], _meta=untrusted_meta(text))
