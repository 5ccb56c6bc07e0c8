"""MCP over HTTP: one MCP server per role, all sharing the process's application."""

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Receive, Scope, Send

from certctl_mcp.config.api_keys import Role
from certctl_mcp.config.settings import Settings
from certctl_mcp.http.auth.principal import actor_of, caller_of, permitted_tools
from certctl_mcp.http.problem_details import problem_response
from certctl_mcp.http.streams import EndStreamsOnShutdown
from certctl_mcp.mcp_server.caller import HTTP_ACTOR
from certctl_mcp.mcp_server.sdk_internals import lowlevel_server
from certctl_mcp.mcp_server.server import server_beside
from certctl_mcp.runtime.lifespan import Opening

MAX_SESSIONS = 1000
"""Open at once. Only protocol revisions before 2026-07-28 have sessions."""


class McpEndpoint:
    """The ASGI application at `/mcp`. A session belongs to the caller that opened it."""

    def __init__(
        self, managers: dict[Role, StreamableHTTPSessionManager], shutting_down: anyio.Event
    ) -> None:
        self._apps = {
            role: EndStreamsOnShutdown(manager.handle_request, shutting_down)
            for role, manager in managers.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = caller_of(scope)
        app = self._apps.get(caller.role)
        if app is None:
            response = problem_response(
                scope, 403, "The operator has disabled every tool that this key may use."
            )
            await response(scope, receive, send)
            return
        if "user" not in scope:
            token = AccessToken(token="", client_id=caller.name, scopes=[])
            scope["user"] = AuthenticatedUser(token)
        scope[HTTP_ACTOR] = actor_of(scope)
        await app(scope, receive, send)


@asynccontextmanager
async def mcp_endpoint(
    opened: Opening, settings: Settings, roles: Collection[Role], shutting_down: anyio.Event
) -> AsyncIterator[McpEndpoint]:
    """Serves callers of `roles`; their sessions end when the context exits."""
    async with AsyncExitStack() as stack:
        managers: dict[Role, StreamableHTTPSessionManager] = {}
        for role in roles:
            tools = permitted_tools(role, settings)
            if tools:
                server = server_beside(opened, settings, tools)
                managers[role] = StreamableHTTPSessionManager(
                    lowlevel_server(server),
                    max_request_body_size=settings.http.max_body_size,
                    max_sessions=MAX_SESSIONS,
                )
                await stack.enter_async_context(managers[role].run())
        yield McpEndpoint(managers, shutting_down)
