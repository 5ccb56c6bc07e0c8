"""Subscriptions to changes of resources.

Up to 2025-11-25 a client subscribes to one URI at a time, until the session ends; from 2026-07-28 on it sends
one request, whose response is the stream of changes. Updates carry the URI as the client spelt it.
"""

from contextlib import ExitStack
from functools import partial
from typing import Any, Final

import anyio
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp_types import (
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionFilter,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from certctl_mcp.mcp_server.caller import http_caller
from certctl_mcp.mcp_server.errors import CALL_TIMEOUT
from certctl_mcp.mcp_server.resources import find
from certctl_mcp.mcp_server.sdk_internals import connection_of
from certctl_mcp.runtime.lifespan import Opening
from certctl_mcp.runtime.watch import Unsubscribe

Context = ServerRequestContext[Opening, Any]

_STATE: Final = "subscriptions"


def register_subscriptions(server: Server[Opening]) -> None:
    """Register the handlers for subscriptions with `server`."""
    server.add_request_handler("resources/subscribe", SubscribeRequestParams, _subscribe)
    server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, _unsubscribe)
    server.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, _listen)


async def _subscribe(ctx: Context, params: SubscribeRequestParams) -> EmptyResult:
    opening, connection = ctx.lifespan_context, connection_of(ctx.session)
    resource = find(params.uri)
    subscribed = _subscriptions(connection)
    unsubscribe = await opening.watch.subscribe(
        resource.uri,
        partial(resource.fingerprint, opening),
        partial(connection.send_resource_updated, params.uri),
        http_caller(ctx),
    )
    # At most one subscription per spelling, however often the client repeats the request.
    earlier = subscribed.pop(params.uri, None)
    if earlier is not None:
        earlier()
    subscribed[params.uri] = unsubscribe
    return EmptyResult()


async def _unsubscribe(ctx: Context, params: UnsubscribeRequestParams) -> EmptyResult:
    resource, subscribed = find(params.uri), _subscriptions(connection_of(ctx.session))
    for uri in [uri for uri in subscribed if find(uri).uri == resource.uri]:
        subscribed.pop(uri)()
    return EmptyResult()


async def _listen(ctx: Context, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
    opening = ctx.lifespan_context
    wanted = list(dict.fromkeys(params.notifications.resource_subscriptions or ()))
    bus = InMemorySubscriptionBus()
    # Lists never change while the server runs, so updates of resources are the only kind it can send.
    honored = SubscriptionFilter(resource_subscriptions=wanted or None)
    with ExitStack() as watching:
        with anyio.fail_after(CALL_TIMEOUT.total_seconds()):
            for uri in wanted:
                watching.callback(await _watch(opening, uri, bus, http_caller(ctx)))
        listening = ListenHandler(bus)
        with opening.long_lived(listening.close):
            return await listening(ctx, params.model_copy(update={"notifications": honored}))


async def _watch(opening: Opening, uri: str, bus: InMemorySubscriptionBus, caller: str) -> Unsubscribe:
    resource = find(uri)
    return await opening.watch.subscribe(
        resource.uri,
        partial(resource.fingerprint, opening),
        partial(bus.publish, ResourceUpdated(uri)),
        caller,
    )


def _subscriptions(connection: Connection) -> dict[str, Unsubscribe]:
    """The session's subscriptions, by the URI as the client spelt it."""
    subscribed: dict[str, Unsubscribe] | None = connection.state.get(_STATE)
    if subscribed is None:
        subscribed = connection.state[_STATE] = {}
        connection.exit_stack.callback(_end_all, subscribed)
    return subscribed


def _end_all(subscribed: dict[str, Unsubscribe]) -> None:
    while subscribed:
        subscribed.popitem()[1]()
