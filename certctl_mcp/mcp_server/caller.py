"""The caller of a request: the client of a server on stdio, or the user that HTTP authenticated."""

from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context

from certctl_mcp.runtime.lifespan import Opening
from certctl_mcp.services.actors import actor_name

HTTP_ACTOR = "certctl_mcp.actor"
"""The key in an ASGI scope under which the HTTP front end passes the name of its caller."""


def http_caller(ctx: ServerRequestContext[Opening, Any]) -> str:
    """The caller that the HTTP front end has authenticated; empty on stdio, which has a single client."""
    return "" if ctx.request is None else str(ctx.request.scope.get(HTTP_ACTOR, ""))


def actor_of(ctx: Context[Opening]) -> str:
    """The caller's name for the audit log."""
    request = ctx.request_context.request
    if request is not None:
        # Another program's front end may not authenticate callers.
        return str(request.scope.get(HTTP_ACTOR, "http"))
    client = ctx.session.client_params.client_info if ctx.session.client_params else None
    return actor_name("stdio", f"{client.name} {client.version}" if client else "")
